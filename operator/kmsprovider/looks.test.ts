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
