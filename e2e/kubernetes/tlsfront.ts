// TLS before a Vault that speaks none: authorities of a test's own, and a server that shows the certificate of whichever
// it is told to. Vault's own PKI engine makes them, so that nothing else has to be installed.

import { once } from "node:events";
import { type AddressInfo, connect, isIP, type Socket } from "node:net";
import { createServer, type Server } from "node:tls";
import { sharedCluster } from "./cluster.ts";
import type { Vault } from "./vault.ts";

export interface Authority {
  /** Its certificate, for whoever is to trust it. */
  readonly caPem: string;
  /** A certificate for this machine's name, and its key. */
  readonly cert: string;
  readonly key: string;
}

export async function createAuthority({ bao }: Vault, name: string): Promise<Authority> {
  const { hostName } = sharedCluster();
  const names = isIP(hostName) === 0 ? `common_name=${hostName}` : `common_name=vault ip_sans=${hostName}`;
  const printed = await bao.shell(`
    {
      bao secrets enable -path=${name} -max-lease-ttl=48h pki
      bao write ${name}/root/generate/internal common_name=${name} ttl=48h key_type=ec
      bao write ${name}/roles/host allow_any_name=true enforce_hostnames=false key_type=ec max_ttl=24h
    } >&2
    bao write -format=json ${name}/issue/host ${names} ttl=24h
  `);
  const { data } = JSON.parse(printed) as { data: Record<"certificate" | "private_key" | "issuing_ca", string> };
  return { caPem: `${data.issuing_ca}\n`, cert: data.certificate, key: data.private_key };
}

export class TlsFront {
  /** As pods reach it. */
  readonly address: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, sockets: Set<Socket>, address: string) {
    this.#server = server;
    this.#sockets = sockets;
    this.address = address;
  }

  static async create({ bao }: Vault, authority: Authority): Promise<TlsFront> {
    const { hostAddress, hostName } = sharedCluster();
    const { hostname, port } = new URL(bao.address);
    const sockets = new Set<Socket>();
    const server = createServer({ cert: authority.cert, key: authority.key }, (outside) => {
      const inside = connect(Number(port), hostname);
      for (const [socket, other] of [
        [outside, inside],
        [inside, outside],
      ] as const) {
        sockets.add(socket);
        socket.on("error", () => other.destroy());
        socket.on("close", () => {
          sockets.delete(socket);
          other.destroy();
        });
        socket.pipe(other);
      }
    });
    server.on("tlsClientError", () => undefined);
    server.listen(0, hostAddress);
    await once(server, "listening");
    const { port: own } = server.address() as AddressInfo;
    return new TlsFront(server, sockets, `https://${hostName}:${own}`);
  }

  /** From the next connection on; those that there are stay. */
  show({ cert, key }: Authority): void {
    this.#server.setSecureContext({ cert, key });
  }

  async close(): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, "close");
  }
}
