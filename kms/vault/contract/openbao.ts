// Starts real OpenBao servers for tests, each with a folder, a port and a transit engine of its own, and does to them what
// happens to servers: pause, seal, kill.

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import http from "node:http";
import https from "node:https";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { installOpenBao } from "./installed.ts";

const execute = promisify(execFile);

const ROOT_TOKEN = "root";
const START_MS = 60_000;

export interface OpenBao {
  readonly address: string;
  readonly caBundle: string | undefined;
  /** As root; rejects unless the answer is 2xx. */
  admin(method: string, path: string, json?: object, namespace?: string): Promise<Reply>;
  /** Of any status. */
  request(method: string, path: string, json: object | undefined, headers: Record<string, string>): Promise<RawReply>;
  /** Until `resume`, connections are taken and nothing is answered. */
  pause(): Promise<void>;
  resume(): void;
  seal(): Promise<void>;
  /** Ready when it resolves: to serve, or as a standby if it is to be one. */
  unseal(as?: "active" | "standby"): Promise<void>;
  kill(): Promise<void>;
  /** Ends it, with all that it held. */
  stop(): Promise<void>;
}

export interface Reply {
  readonly data: Record<string, unknown>;
  readonly auth: Record<string, unknown>;
}

export interface OpenBaoSettings {
  readonly tls?: boolean;
  readonly host?: string;
  /** Where a server was that has gone. */
  readonly port?: number;
}

/** In memory, unsealed, with a transit engine at `transit`. */
export async function startOpenBao({ tls = false, host = "127.0.0.1", port }: OpenBaoSettings = {}): Promise<OpenBao> {
  const folder = await mkdtemp(join(tmpdir(), "coffer-openbao-"));
  const { server, said, at } = await runAt(folder, host, port, (address) => [
    ...(tls ? ["-dev-tls", `-dev-tls-cert-dir=${folder}`] : ["-dev"]),
    `-dev-root-token-id=${ROOT_TOKEN}`,
    `-dev-listen-address=${address}`,
    "-dev-no-store-token",
  ]);
  const unsealKey = /Unseal Key: (\S+)/.exec(said.text())?.[1] ?? "";
  const caBundle = tls ? await readFile(join(folder, "vault-ca.pem"), "utf8") : undefined;
  const address = `${tls ? "https" : "http"}://${at}`;
  const bao = openBaoOf({ server, address, caBundle, unsealKey: () => unsealKey, rootToken: () => ROOT_TOKEN, folder });
  try {
    await bao.admin("POST", "sys/mounts/transit", { type: "transit" });
  } catch (error) {
    await bao.stop();
    throw error;
  }
  return bao;
}

/** Without a port that was asked for, on another if somebody takes the first before the server does. */
async function runAt(
  folder: string,
  host: string,
  port: number | undefined,
  settingsAt: (address: string) => readonly string[],
): Promise<{ server: ChildProcess; said: Said; at: string }> {
  for (;;) {
    const at = `${host}:${port ?? (await freePort(host))}`;
    const { server, said } = await run(folder, settingsAt(at));
    try {
      await said.until(/Root Token: /);
      return { server, said, at };
    } catch (error) {
      server.kill("SIGKILL");
      if (port !== undefined || !said.text().includes("address already in use")) throw error;
    }
  }
}

/** Servers with one storage, replicated among them: the first is active, the others are standbys. */
export async function startCluster(size: number): Promise<readonly OpenBao[]> {
  const nodes: OpenBao[] = [];
  try {
    await joinNodes(nodes, size);
  } catch (error) {
    for (const node of nodes) await node.stop();
    throw error;
  }
  return nodes;
}

async function joinNodes(nodes: OpenBao[], size: number): Promise<void> {
  let secrets = { unsealKey: "", rootToken: "" };
  for (let number = 0; number < size; number += 1) {
    const folder = await mkdtemp(join(tmpdir(), "coffer-openbao-"));
    const [at, clusterAt] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
    const config = {
      storage: { raft: { path: folder, node_id: `node-${number}`, performance_multiplier: 4 } },
      listener: { tcp: { address: at, cluster_address: clusterAt, tls_disable: true } },
      api_addr: `http://${at}`,
      cluster_addr: `https://${clusterAt}`,
    };
    await writeFile(join(folder, "config.json"), JSON.stringify(config));
    const { server, said } = await run(folder, [`-config=${join(folder, "config.json")}`]);
    await said.until(/OpenBao server started/);
    const address = `http://${at}`;
    const { unsealKey, rootToken } = { unsealKey: () => secrets.unsealKey, rootToken: () => secrets.rootToken };
    const node = openBaoOf({ server, address, caBundle: undefined, unsealKey, rootToken, folder });
    const [first] = nodes;
    nodes.push(node);
    if (first === undefined) secrets = await initialize(node);
    else await node.request("POST", "sys/storage/raft/join", { leader_api_addr: first.address }, {});
    await node.unseal(first === undefined ? "active" : "standby");
    // Else a new server waits for ten seconds until it may vote.
    if (number === 0)
      await node.admin("POST", "sys/storage/raft/autopilot/configuration", { server_stabilization_time: "1s" });
  }
  const [active] = nodes as [OpenBao];
  await active.admin("POST", "sys/mounts/transit", { type: "transit" });
  // One that has no vote yet cannot help to elect another.
  while ((await votersOf(active)) < size) await sleep(50);
}

async function votersOf(node: OpenBao): Promise<number> {
  const { data } = await node.admin("GET", "sys/storage/raft/configuration");
  const { servers } = data["config"] as { servers: { voter: boolean }[] };
  return servers.filter(({ voter }) => voter).length;
}

async function initialize(node: OpenBao): Promise<{ unsealKey: string; rootToken: string }> {
  const { raw } = await node.request("POST", "sys/init", { secret_shares: 1, secret_threshold: 1 }, {});
  const { keys_base64: keys, root_token: rootToken } = JSON.parse(raw) as { keys_base64: string[]; root_token: string };
  return { unsealKey: keys[0] ?? "", rootToken };
}

async function run(folder: string, settings: readonly string[]): Promise<{ server: ChildProcess; said: Said }> {
  const program = await installOpenBao();
  const server = spawn(program, ["server", ...settings], { env: { HOME: folder }, stdio: ["ignore", "pipe", "pipe"] });
  endWithUs(server);
  return { server, said: listen(server) };
}

/** Also where a test fails before it has a hold of it. */
function endWithUs(server: ChildProcess): void {
  const end = () => void server.kill("SIGKILL");
  process.once("exit", end);
  server.once("exit", () => process.off("exit", end));
}

interface Started {
  readonly server: ChildProcess;
  readonly address: string;
  readonly caBundle: string | undefined;
  unsealKey(): string;
  rootToken(): string;
  readonly folder: string;
}

function openBaoOf({ server, address, caBundle, unsealKey, rootToken, folder }: Started): OpenBao {
  const request: OpenBao["request"] = (method, path, json, headers) =>
    ask(`${address}/v1/${path}`, caBundle, method, json, headers);

  async function admin(method: string, path: string, json?: object, namespace?: string): Promise<Reply> {
    const headers = {
      "x-vault-token": rootToken(),
      ...(namespace === undefined ? {} : { "x-vault-namespace": namespace }),
    };
    const reply = await request(method, path, json, headers);
    if (reply.status >= 300) throw new Error(`OpenBao answered ${reply.status} to ${method} ${path}: ${reply.raw}`);
    return reply;
  }

  async function kill(): Promise<void> {
    if (server.exitCode !== null || server.signalCode !== null) return;
    const gone = once(server, "exit");
    server.kill("SIGKILL");
    await gone;
  }

  return {
    address,
    caBundle,
    admin,
    request,
    async pause() {
      server.kill("SIGSTOP");
      // A busy machine takes a while to stop all of its threads.
      while (!(await stateOf(server.pid ?? 0)).startsWith("T")) await sleep(5);
      await sleep(20);
    },
    resume: () => void server.kill("SIGCONT"),
    seal: async () => void (await admin("POST", "sys/seal")),
    async unseal(as = "active") {
      await request("POST", "sys/unseal", { key: unsealKey() }, {});
      // Unsealed is not yet ready.
      for (let tries = 0; tries < 3000; tries += 1) {
        if ((await request("GET", "sys/health", undefined, {})).status === (as === "active" ? 200 : 429)) return;
        await sleep(20);
      }
      throw new Error("OpenBao does not get ready after it was unsealed");
    },
    kill,
    async stop() {
      await kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export interface RawReply extends Reply {
  readonly status: number;
  readonly raw: string;
}

function ask(
  url: string,
  ca: string | undefined,
  method: string,
  json: object | undefined,
  headers: Record<string, string>,
): Promise<RawReply> {
  return new Promise((resolve, reject) => {
    const options = { method, headers, agent: false };
    const request =
      ca === undefined ? http.request(url, options) : https.request(url, { ...options, ca, servername: "localhost" });
    request.on("error", reject);
    request.on("response", (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const raw = Buffer.concat(chunks).toString("utf8");
        const body = (raw === "" ? {} : JSON.parse(raw)) as { data?: object; auth?: object };
        const reply = { data: { ...body.data }, auth: { ...body.auth } };
        resolve({ status: response.statusCode ?? 0, raw, ...reply });
      });
    });
    request.end(json === undefined ? undefined : JSON.stringify(json));
  });
}

/** As `ps` says it, which a slim Linux does not have. */
async function stateOf(pid: number): Promise<string> {
  const path = `/proc/${pid}/stat`;
  if (existsSync(path)) return (await readFile(path, "utf8")).split(") ").at(-1) ?? "";
  const { stdout } = await execute("ps", ["-o", "state=", "-p", String(pid)]);
  return stdout.trim();
}

interface Said {
  text(): string;
  until(words: RegExp): Promise<void>;
}

/** What a server prints; one that ends early, or says nothing, fails the test with what it said. */
function listen(server: ChildProcess): Said {
  let text = "";
  for (const stream of [server.stdout, server.stderr]) {
    stream?.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
  }
  return {
    text: () => text,
    async until(words) {
      const endsMs = Date.now() + START_MS;
      while (!words.test(text)) {
        if (server.exitCode !== null || Date.now() > endsMs) throw new Error(`OpenBao did not start:\n${text}`);
        await sleep(5);
      }
    },
  };
}

/** None of those that the kernel gives to connections: one of them could have it before the server comes to it. */
export async function freePort(host = "127.0.0.1"): Promise<number> {
  for (;;) {
    const port = randomInt(15_000, 30_000);
    const server = createServer().listen(port, host);
    const isFree = await once(server, "listening").then(
      () => true,
      () => false,
    );
    if (!isFree) continue;
    await once(server.close(), "close");
    return port;
  }
}
