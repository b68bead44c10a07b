// What no real Vault does: servers that are none, or that would do harm.

import { once } from "node:events";
import http from "node:http";
import type { Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { CONTEXT, PATIENT } from "../contract/subject.ts";
import type { Kms, KmsError } from "../kms.ts";
import { Secret } from "../secret.ts";
import { systemTimers } from "../timers.ts";
import type { VaultOptions } from "../vault-options.ts";
import { createVaultKeyAdmin } from "./admin.ts";
import { createRefusedLogins } from "./refused-logins.ts";
import { createVaultKms } from "./vault.ts";

const MEANS = { timeoutMs: 30_000, timers: systemTimers, refusedLogins: createRefusedLogins(systemTimers) };

const TOKEN = "the-token";
const CIPHERTEXT = `vault:v1:${Buffer.alloc(60).toString("base64")}`;

type Handler = (request: http.IncomingMessage, response: http.ServerResponse, body: string) => void;

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

interface Seen {
  readonly address: string;
  readonly requests: { readonly url: string; readonly headers: http.IncomingHttpHeaders; readonly body: string }[];
  readonly sockets: Set<Socket>;
}

/** A server that answers by `handler` all but questions about tokens. */
async function serve(handler: Handler): Promise<Seen> {
  const requests: Seen["requests"] = [];
  const sockets = new Set<Socket>();
  const server = http.createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (text: string) => {
      body += text;
    });
    request.on("end", () => {
      const url = request.url ?? "";
      if (url.includes("/auth/token/")) {
        response.end(JSON.stringify({ data: { ttl: 0, renewable: false } }));
        return;
      }
      requests.push({ url, headers: request.headers, body });
      handler(request, response, body);
    });
  });
  server.on("connection", (socket) => sockets.add(socket));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  closing.push(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  });
  return { address: `http://127.0.0.1:${(server.address() as { port: number }).port}`, requests, sockets };
}

function optionsFor(address: string): VaultOptions {
  return {
    type: "Vault",
    address,
    namespace: undefined,
    mount: "transit",
    keyName: "photos",
    tlsServerName: undefined,
    caBundle: undefined,
    auth: { method: "token", token: new Secret(TOKEN) },
  };
}

function open(address: string, more: Partial<VaultOptions> = {}): Kms {
  const kms = createVaultKms({ ...optionsFor(address), ...more }, MEANS);
  closing.push(() => kms.close());
  return kms;
}

const wrapped = {
  provider: "Vault",
  kmsKeyId: "transit/photos",
  version: "1",
  bytes: Buffer.from(CIPHERTEXT),
} as const;

async function unwrapFailure(kms: Kms): Promise<KmsError> {
  return (await kms.unwrap(wrapped, CONTEXT, PATIENT).then(
    () => new Error("It was expected to fail"),
    (error: unknown) => error,
  )) as KmsError;
}

function json(response: http.ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

describe("a server that is no Vault", () => {
  const strange: Readonly<Record<string, [Handler, message: RegExp]>> = {
    "that answers a page": [(_, response) => response.end("<html>Welcome</html>"), /no Vault \(status 200\)/],
    "that answers a list": [(_, response) => json(response, 200, []), /no Vault \(status 200\)/],
    "that answers nothing at all": [(_, response) => response.end(), /a part of its answer is missing/],
    "that answers without what was asked for": [(_, response) => json(response, 200, { data: {} }), /missing/],
    "that answers a number for a text": [(_, response) => json(response, 200, { data: { plaintext: 1 } }), /missing/],
    "that answers without an end": [
      (_, response) => {
        const more = (): void => {
          while (response.write("x".repeat(65_536)));
        };
        response.on("drain", more);
        more();
      },
      /more than it ever should/,
    ],
    "that breaks off": [
      (_, response) => {
        response.writeHead(200, { "content-length": "1000" }).write("{");
        setTimeout(() => response.destroy(), 20);
      },
      /^Vault cannot be reached \(ECONNRESET\)|^Vault broke off/,
    ],
    "that speaks no HTTP": [(request) => request.socket.end("SSH-2.0-OpenSSH\r\n"), /cannot be reached \(HPE_/],
    "that fails": [
      (_, response) => json(response, 500, { errors: ["internal error"] }),
      /^Vault cannot answer \(status 500\)$/,
    ],
    "behind a balancer without a server": [
      (_, response) => response.writeHead(502).end("Bad Gateway"),
      /\(status 502\)/,
    ],
    "that is a standby and forwards nothing": [
      (_, response) => json(response, 503, { errors: ["local node not active but active cluster node not found"] }),
      /^Vault cannot answer \(status 503\)$/,
    ],
  };

  test.each(Object.entries(strange))("%s is unreachable", async (_what, [handler, message]) => {
    const { address } = await serve(handler);
    const error = await unwrapFailure(open(address));
    expect(error).toMatchObject({ name: "KmsError", code: "unreachable", action: "unwrap" });
    expect(error.message).toMatch(message);
  });

  test("gets no say in what is logged, not even by repeating what it was sent", async () => {
    const { address } = await serve((request, response, body) => {
      json(response, 400, { errors: [body, String(request.headers["x-vault-token"])] });
    });
    const kms = open(address);
    const plain = Buffer.alloc(32, 7);
    const error = await kms.wrap(plain, CONTEXT, PATIENT).catch((thrown: unknown) => thrown);
    const shown = inspectAll(error);
    expect(shown).toContain("status 400");
    expect(shown).not.toContain(TOKEN);
    expect(shown).not.toContain(plain.toString("base64"));
  });

  test("that points elsewhere is not followed, so the token goes nowhere else", async () => {
    const other = await serve((_, response) => json(response, 200, { data: { plaintext: "" } }));
    const { address } = await serve((_, response) =>
      response.writeHead(307, { location: `${other.address}/v1/x` }).end(),
    );
    const error = await unwrapFailure(open(address));
    expect(error).toMatchObject({ code: "unreachable" });
    expect(error.message).toMatch(/points elsewhere.*\(status 307\)/);
    expect(other.requests).toEqual([]);
  });

  test("that unwraps to another length is rejected", async () => {
    const plaintext = Buffer.alloc(31).toString("base64");
    const { address } = await serve((_, response) => json(response, 200, { data: { plaintext } }));
    expect(await unwrapFailure(open(address))).toMatchObject({ code: "rejected" });
  });

  test.each(["", "vault:v0:AAAA", "v1:AAAA", "vault:v1:", `vault:v1:${"A".repeat(2_000)}`])(
    "that wraps to %j is not believed",
    async (ciphertext) => {
      const { address } = await serve((_, response, body) => {
        if (body.includes("context")) json(response, 200, { data: { ciphertext } });
        else json(response, 400, { errors: ["missing 'context' for key derivation"] });
      });
      const call = open(address).wrap(Buffer.alloc(32), CONTEXT, PATIENT);
      await expect(call).rejects.toMatchObject({ code: "unreachable" });
    },
  );
});

describe("a question", () => {
  const plaintext = Buffer.alloc(32, 1).toString("base64");

  test("goes to the path below the address, with token and namespace, and with nothing that was not meant for it", async () => {
    const seen = await serve((_, response) => json(response, 200, { data: { plaintext } }));
    const kms = open(`${seen.address}/behind/a/proxy/`, { namespace: "team/a" });
    await kms.unwrap({ ...wrapped, kmsKeyId: "team/a/transit/photos" }, CONTEXT, PATIENT);
    const [{ url, headers, body } = { url: "", headers: {}, body: "" }] = seen.requests;
    expect(url).toBe("/behind/a/proxy/v1/transit/decrypt/photos");
    expect(headers).toMatchObject({
      "x-vault-token": TOKEN,
      "x-vault-namespace": "team/a",
      "x-vault-request": "true",
      "content-type": "application/json",
    });
    expect(Object.keys(JSON.parse(body) as object).sort()).toEqual(["ciphertext", "context"]);
  });

  test("carries as context the SHA-256 of the pairs, ordered by the bytes of their names", async () => {
    const seen = await serve((_, response) => json(response, 200, { data: { plaintext } }));
    await open(seen.address).unwrap(wrapped, { team: "a", "coffer:bucket": "photos" }, PATIENT);
    // SHA-256 of 0000000d "coffer:bucket" 00000006 "photos" 00000004 "team" 00000001 "a"
    expect(JSON.parse(seen.requests[0]?.body ?? "{}")).toMatchObject({
      context: "4IHi6jRktgbbajgeoC9qB2D0G2atKdoUh+VdtAJ7GFI=",
    });
  });

  test("reuses a connection, and takes another when the server has closed it meanwhile", async () => {
    const seen = await serve((request, response) => {
      json(response, 200, { data: { plaintext } });
      if (seen.requests.length === 2) response.on("finish", () => request.socket.destroySoon());
    });
    const kms = open(seen.address);
    for (let count = 0; count < 4; count += 1) await kms.unwrap(wrapped, CONTEXT, PATIENT);
    expect(seen.requests).toHaveLength(4);
    expect(seen.sockets.size).toBeLessThanOrEqual(3);
  });

  test("that would do more when it is asked twice is asked once, though its connection was closed", async () => {
    const seen = await serve((request, response) => {
      if (request.method === "POST") request.socket.destroy();
      else
        json(response, 200, {
          data: { derived: true, latest_version: 1, min_decryption_version: 1, min_encryption_version: 0 },
        });
    });
    const admin = createVaultKeyAdmin(optionsFor(seen.address), MEANS);
    closing.push(() => admin.close());
    await expect(admin.rotate("1", PATIENT)).rejects.toMatchObject({ code: "unreachable", action: "rotate" });
    expect(seen.requests.map(({ url }) => url)).toEqual(["/v1/transit/keys/photos", "/v1/transit/keys/photos/rotate"]);
  });
});

function inspectAll(error: unknown): string {
  const parts: string[] = [];
  for (let at = error; at instanceof Error; at = at.cause) {
    parts.push(at.message, String(at), at.stack ?? "", JSON.stringify(at), JSON.stringify(Object.entries(at)));
  }
  return parts.join("\n");
}
