import type { ServerResponse } from "node:http";
import { describe, expect, test } from "vitest";
import { localKey } from "../../kms/contract/localkey.ts";
import type { Principal } from "../access/access.ts";
import type { Call } from "../call.ts";
import { type DataPlaneConfig, defaultSettings, type ProviderEntry } from "../config/config.ts";
import { createInFlight } from "../http/inflight.ts";
import type { Exchange } from "../http/table.ts";
import type { Snapshot } from "../snapshot.ts";
import { driveKeys, type KeyDriver, listOperations } from "./operations.ts";
import type { Target } from "./target.ts";

const { options, kmsKeyId } = localKey();
const PROVIDER: ProviderEntry = {
  revision: 1,
  resource: "KmsProvider/local",
  madeFrom: [],
  name: "local",
  options,
  kmsKeyId,
  timeoutMs: 1000,
  cache: { ttlMs: 0, maxEntries: 1, negativeTtlMs: 0 },
};

function callBy(principal: Principal, ruledBy: DataPlaneConfig["ruledBy"]): Call {
  const config: DataPlaneConfig = {
    format: 1,
    revision: 1,
    ruledBy,
    region: "local",
    hostNames: [],
    settings: defaultSettings,
    providers: [PROVIDER],
    buckets: [],
  };
  const snapshot = { config, providers: new Map([["local", PROVIDER]]) } as Partial<Snapshot> as Snapshot;
  return {
    id: "call-1",
    operation: "DriveKeys",
    principal,
    snapshot,
    facts: { tls: false, address: "" },
    signal: new AbortController().signal,
    startedMs: 0,
    bucket: undefined,
    name: undefined,
    doneBytes: 0,
    totalBytes: undefined,
  };
}

function credential(more: { readonly keys?: boolean; readonly bucket?: string } = {}): Principal {
  const configured = {
    entry: "admin",
    generation: 0,
    accessKeyId: "CFADMIN",
    secret: "admin-secret",
    tokenSha256: "ab".repeat(32),
    permissions: ["Read" as const],
    ...(more.keys === undefined ? {} : { keys: more.keys }),
  };
  return { kind: "credential", credential: { configured, bucket: more.bucket, selfService: true } };
}

interface Asked {
  readonly status?: number;
  readonly json?: unknown;
  readonly driven: readonly string[];
}

async function ask(
  verb: "rotate" | "rewrap",
  {
    by = credential({ keys: true }),
    ruledBy = "nobody",
    provider = "local",
    query = {},
    hasDriver = true,
  }: {
    readonly by?: Principal;
    readonly ruledBy?: DataPlaneConfig["ruledBy"];
    readonly provider?: string;
    readonly query?: Readonly<Record<string, string>>;
    readonly hasDriver?: boolean;
  } = {},
): Promise<Asked> {
  const driven: string[] = [];
  const keyDriver: KeyDriver = {
    async rotate(_call, { name }, ifVersion) {
      driven.push(`rotate ${name} from ${ifVersion ?? "the newest"}`);
      return { version: "2", rotated: true };
    },
    async rewrap(_call, { name }) {
      driven.push(`rewrap ${name}`);
    },
  };
  const sent: { status?: number; body?: string } = {};
  const answer = {
    req: { method: "POST" },
    set statusCode(status: number) {
      sent.status = status;
    },
    setHeader: () => undefined,
    end: (body?: string) => {
      sent.body = String(body);
    },
  } as unknown as ServerResponse;
  const needs = {
    inFlight: createInFlight(),
    nowMs: () => 1,
    keyDriver: hasDriver ? keyDriver : undefined,
    shutdown: new AbortController().signal,
    eventEveryMs: 1,
  };
  const target = { query: new Map(Object.entries(query)) } as Partial<Target> as Target;
  const exchange = { answer, target } as Partial<Exchange<Target>> as Exchange<Target>;
  await driveKeys(needs, callBy(by, ruledBy), { kind: "keys", provider, verb }, exchange);
  return { ...(sent.status === undefined ? {} : { status: sent.status }), json: JSON.parse(sent.body ?? ""), driven };
}

describe("driveKeys()", () => {
  test("rotates from the newest version on, and says what came of it", async () => {
    expect(await ask("rotate")).toEqual({
      status: 202,
      json: { provider: "local", kmsKeyId, version: "2", rotated: true },
      driven: ["rotate local from the newest"],
    });
  });

  test("rotates from the version that the request names", async () => {
    expect((await ask("rotate", { query: { ifVersion: "1" } })).driven).toEqual(["rotate local from 1"]);
  });

  test.each<["rotate" | "rewrap", Readonly<Record<string, string>>]>([
    ["rotate", { ifversion: "1" }],
    ["rotate", { ifVersion: "1", force: "" }],
    ["rewrap", { ifVersion: "1" }],
  ])("refuses to %s where the query says what is not known: %o", async (verb, query) => {
    await expect(ask(verb, { query })).rejects.toMatchObject({ code: "InvalidArgument", status: 400 });
  });

  test("wishes for a rewrap", async () => {
    expect(await ask("rewrap")).toEqual({
      status: 202,
      json: { provider: "local", kmsKeyId },
      driven: ["rewrap local"],
    });
  });

  test.each(["rotate", "rewrap"] as const)("refuses to %s for a credential that may not", async (verb) => {
    for (const by of [credential(), credential({ keys: false }), { kind: "anonymous" } as const]) {
      await expect(ask(verb, { by })).rejects.toMatchObject({ code: "AccessDenied", status: 403 });
    }
  });

  test.each(["operator", "folder"] as const)("refuses where the %s rules, naming what does", async (ruledBy) => {
    await expect(ask("rotate", { ruledBy })).rejects.toMatchObject({
      code: "ConfigurationConflict",
      status: 409,
      message: expect.stringContaining("KmsProvider/local"),
    });
  });

  test("knows the providers of the configuration alone", async () => {
    await expect(ask("rotate", { provider: "gone" })).rejects.toMatchObject({ code: "NotFound", status: 404 });
  });

  test("leaves keys alone where another program writes the configuration", async () => {
    await expect(ask("rewrap", { hasDriver: false })).rejects.toMatchObject({ code: "NotImplemented", status: 501 });
  });
});

describe("what is in flight", () => {
  test("is told in events for some minutes, and then has to be asked for again", async () => {
    let nowMs = 0;
    let events = 0;
    const ended: unknown[] = [];
    const answer = {
      setHeader: () => undefined,
      write() {
        events += 1;
        nowMs += 60_000;
      },
      end: (last?: string) => void ended.push(last),
    } as unknown as ServerResponse;
    const shutdown = new AbortController().signal;
    const needs = { inFlight: createInFlight(), nowMs: () => nowMs, keyDriver: undefined, shutdown, eventEveryMs: 1 };
    const head = { headers: { accept: "text/event-stream" } };
    await listOperations(needs, callBy(credential(), "nobody"), { answer, head } as unknown as Exchange<Target>);
    expect([events, ended]).toEqual([10, [undefined]]);
  });

  test("shows the jobs of every bucket to who may rotate keys, and to nobody else but the bucket's own", () => {
    const inFlight = createInFlight();
    inFlight.enter({ ...callBy({ kind: "job", job: "rewrap" }, "nobody"), id: "job-1", bucket: "photos" });
    const seenBy = (viewer: Principal) => inFlight.list(viewer, 1).map(({ id }) => id);
    expect(seenBy(credential({ keys: true }))).toEqual(["job-1"]);
    expect(seenBy(credential())).toEqual([]);
    expect(seenBy(credential({ bucket: "photos" }))).toEqual(["job-1"]);
    expect(seenBy(credential({ bucket: "music" }))).toEqual([]);
  });
});
