import type { AddressInfo } from "node:net";
import { createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { KmsProvider } from "../../crds/kmsprovider.ts";
import { parseKmsOptions } from "../../kms/options.ts";
import { systemClock } from "../clock.ts";
import { Looks } from "./looks.ts";

const provider = {
  spec: { healthCheck: { interval: "60s", timeout: "300ms", failureThreshold: 3 } },
} as unknown as KmsProvider;

/** Of a timeout that no refused connection comes near to. */
const PATIENT = { interval: "60s", timeout: "60s", failureThreshold: 3 };
const noCounts = { looked: () => undefined, gone: () => undefined, allGone: () => undefined };

let server: Server;
const sockets = new Set<Socket>();
let stopping: AbortController;

/** Takes connections and says nothing. */
beforeEach(async () => {
  stopping = new AbortController();
  server = createServer((socket) => void sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});

afterEach(() => {
  stopping.abort();
  for (const socket of sockets) socket.destroy();
  server.close();
});

function optionsOf(port: number) {
  const parsed = parseKmsOptions({
    type: "Vault",
    address: `http://127.0.0.1:${port}`,
    mount: "transit",
    keyName: "photos",
    auth: { token: "token-of-a-test" },
  });
  if ("problems" in parsed) throw new Error(JSON.stringify(parsed.problems));
  return parsed.options;
}

/** A Vault of one key, which says how many versions that has, and answers to no wrap before it is let. */
interface Vault {
  newest: number;
  /** Requests to wrap that wait. */
  readonly held: Socket[];
  letGo(): void;
}

function answerAsVault(): Vault {
  const held: Socket[] = [];
  const vault: Vault = {
    newest: 1,
    held,
    letGo() {
      for (const socket of held.splice(0)) answer(socket, 400, { errors: [] });
    },
  };
  server.on("connection", (socket) => {
    socket.on("data", (bytes) => {
      const path = bytes.toString("latin1").split(" ")[1] ?? "";
      if (path.endsWith("/lookup-self")) answer(socket, 200, { data: { ttl: 0, renewable: false } });
      else if (path.includes("/encrypt/")) held.push(socket);
      else if (path.includes("/keys/")) answer(socket, 200, { data: keyOf(vault) });
    });
  });
  return vault;
}

function keyOf({ newest }: Vault) {
  return {
    derived: true,
    latest_version: newest,
    min_decryption_version: 1,
    min_encryption_version: 0,
    supports_encryption: true,
  };
}

function answer(socket: Socket, status: number, body: object): void {
  const text = JSON.stringify(body);
  const head = ["content-type: application/json", `content-length: ${Buffer.byteLength(text)}`, "connection: close"];
  socket.end([`HTTP/1.1 ${status} Answer`, ...head, "", text].join("\r\n"));
}

async function until(isSo: () => boolean): Promise<void> {
  for (let tries = 0; !isSo(); tries += 1) {
    if (tries > 1000) throw new Error("It never came");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe("Looks at a key that is rotated", () => {
  const hourly = {
    spec: { healthCheck: { ...PATIENT, interval: "1h", failureThreshold: 1 } },
  } as unknown as KmsProvider;
  let vault: Vault;
  let looks: Looks;
  const look = (isWished = false) =>
    looks.look("a/b", hourly, optionsOf((server.address() as AddressInfo).port), isWished);

  beforeEach(async () => {
    vault = answerAsVault();
    looks = new Looks(systemClock, () => undefined, noCounts, stopping.signal);
    const first = look();
    await until(() => vault.held.length > 0);
    vault.letGo();
    await first;
  });

  test("are due once it is to be rotated, and only one that began then says from which version", async () => {
    expect(await look()).toMatchObject({ version: "1", isReadAnew: false });
    vault.newest = 2;
    expect(await look(true)).toMatchObject({ version: "1", isReadAnew: false });
    await until(() => vault.held.length > 0);
    vault.letGo();
    await looks.ended();
    expect(await look(true)).toMatchObject({ version: "2", isReadAnew: true });
    expect(looks.dueInMs("a/b")).toBeGreaterThan(50 * 60_000);
  });

  test("that began before the wish was found are followed by another", async () => {
    looks.hurry("a/b");
    await look();
    await until(() => vault.held.length > 0);
    vault.newest = 2;
    await look(true);
    vault.letGo();
    await looks.ended();
    expect(await look(true)).toMatchObject({ version: "1", isReadAnew: false });
    await until(() => vault.held.length > 0);
    vault.letGo();
    await looks.ended();
    expect(await look(true)).toMatchObject({ version: "2", isReadAnew: true });
  });

  test("that began before the rotation ended take nothing of it back", async () => {
    looks.hurry("a/b");
    await look();
    await until(() => vault.held.length > 0);
    looks.noteVersion("a/b", "2");
    expect(await look()).toMatchObject({ version: "2" });
    vault.letGo();
    await looks.ended();
    expect(await look()).toMatchObject({ version: "2" });
  });

  test("that begin afterwards say what there is", async () => {
    looks.noteVersion("a/b", "2");
    vault.newest = 3;
    looks.hurry("a/b");
    expect(await look()).toMatchObject({ version: "2" });
    await until(() => vault.held.length > 0);
    vault.letGo();
    await looks.ended();
    expect(await look()).toMatchObject({ version: "3" });
  });
});

describe("Looks", () => {
  test("are not due while one is under way, or a pass would follow the other without a pause", async () => {
    const told: string[] = [];
    const counted: string[] = [];
    const counts = {
      looked: ({ namespace, name }: { namespace: string; name: string }, type: string, outcome: string) =>
        counted.push(`${namespace} ${name} ${type} ${outcome}`),
      gone: () => undefined,
      allGone: () => undefined,
    };
    const looks = new Looks(systemClock, (item) => told.push(item), counts, stopping.signal);
    const options = optionsOf((server.address() as AddressInfo).port);
    await looks.look("a/b", provider, options);
    await looks.ended();
    looks.hurry("a/b");
    expect(looks.dueInMs("a/b")).toBe(0);
    const known = await looks.look("a/b", provider, options);
    expect(known?.probe).toMatchObject({ outcome: "failed", code: "unreachable" });
    expect(looks.dueInMs("a/b")).toBeUndefined();
    await looks.ended();
    expect(looks.dueInMs("a/b")).toBeDefined();
    expect(told).toEqual(["a/b", "a/b"]);
    expect(counted).toEqual(["a b Vault unreachable", "a b Vault unreachable"]);
  });

  test("that are asked for while one is under way follow it, however long the interval is", async () => {
    const looks = new Looks(systemClock, () => undefined, noCounts, stopping.signal);
    const hourly = { interval: "1h", timeout: "300ms", failureThreshold: 1 };
    const patient = { spec: { healthCheck: hourly } } as unknown as KmsProvider;
    const options = optionsOf((server.address() as AddressInfo).port);
    const first = looks.look("a/b", patient, options);
    looks.hurry("a/b");
    await first;
    await looks.ended();
    expect(looks.dueInMs("a/b")).toBe(0);
    await looks.look("a/b", patient, options);
    await looks.ended();
    expect(looks.dueInMs("a/b")).toBeGreaterThan(50 * 60_000);
  });

  test("that wait for an answer in vain follow each other at once, until it is an outage", async () => {
    const looks = new Looks(systemClock, () => undefined, noCounts, stopping.signal);
    const options = optionsOf((server.address() as AddressInfo).port);
    for (let time = 0; time < 2; time += 1) {
      await looks.look("a/b", provider, options);
      await looks.ended();
      expect(looks.dueInMs("a/b")).toBe(0);
    }
    await looks.look("a/b", provider, options);
    await looks.ended();
    expect(looks.dueInMs("a/b")).toBeGreaterThan(50_000);
  });

  test("follow an interval that has become shorter", async () => {
    const looks = new Looks(systemClock, () => undefined, noCounts, stopping.signal);
    const { port } = server.address() as AddressInfo;
    server.close();
    const of = (interval: string) =>
      ({ spec: { healthCheck: { ...PATIENT, interval, failureThreshold: 1 } } }) as unknown as KmsProvider;
    await looks.look("a/b", of("1h"), optionsOf(port));
    await looks.ended();
    expect(looks.dueInMs("a/b")).toBeGreaterThan(50 * 60_000);
    await looks.look("a/b", of("10m"), optionsOf(port));
    // One is under way.
    expect(looks.dueInMs("a/b")).toBeUndefined();
    await looks.ended();
    expect(looks.dueInMs("a/b")).toBeLessThan(10 * 60_000 + 1);
  });

  test("that are refused at once leave some time to each other", async () => {
    // By this clock a refusal takes no time, also on a machine that is busy.
    const clock = { ...systemClock, monotonicMs: () => 0 };
    const looks = new Looks(clock, () => undefined, noCounts, stopping.signal);
    const { port } = server.address() as AddressInfo;
    server.close();
    await looks.look("a/b", { spec: { healthCheck: PATIENT } } as unknown as KmsProvider, optionsOf(port));
    await looks.ended();
    expect(looks.dueInMs("a/b")).toBe(1000);
  });
});
