// A Vault that does not answer any more: it is told in the time that is promised, whoever has its keys in memory goes on,
// whoever has not is refused in time, and all goes on by itself when Vault is back.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { restObject } from "../clients.ts";
import type { Credentials } from "../harness.ts";
import { bucketUnder } from "./manifests.ts";
import { conditionOf, type KubeObject } from "./objects.ts";
import { operatorPods } from "./operatorpods.ts";
import { markOf, STORE_POD } from "./storepods.ts";
import { createTeam, type Team } from "./team.ts";
import { Traffic } from "./traffic.ts";
import { Vault } from "./vault.ts";

const READY_MS = 180_000;
const INTERVAL_MS = 5_000;
const TIMEOUT_MS = 2_000;
const THRESHOLD = 3;
/** What the documentation promises. */
const NOTICED_MS = INTERVAL_MS + TIMEOUT_MS;
const TOLD_MS = INTERVAL_MS + THRESHOLD * TIMEOUT_MS;
/** Beside it, for a machine that is busy with other tests. */
const PATIENCE = 6;
const HEALTH = { interval: "5s", timeout: "2s", failureThreshold: THRESHOLD };
const COLD_TTL = "1s";
/** With all that is tried again on the way. */
const REFUSED_MS = 2_500;
const SERVED = 60;

let vault: Vault;
let team: Team;
let warm: Credentials;
let cold: Credentials;

beforeAll(async () => {
  [vault, team] = await Promise.all([Vault.create(), createTeam("kms-outage")]);
  await vault.letIn(team);
  await team.apply([
    vault.provider(team, { healthCheck: HEALTH }),
    coldProvider(),
    bucketUnder("vault", "warm"),
    bucketUnder("cold", "cold"),
  ]);
  for (const bucket of ["warm", "cold"]) await team.untilReady("encryptedbuckets", bucket, READY_MS);
  warm = await team.credentials("warm-app");
  cold = await team.credentials("cold-app");
});

afterAll(async () => {
  vault?.bao.resume();
  await team?.remove();
  await vault?.remove();
});

/** The same key, which pods forget at once. */
function coldProvider(): object {
  const provider = vault.provider(team, { healthCheck: HEALTH, cache: { ttl: COLD_TTL } });
  return { ...provider, metadata: { name: "cold" } };
}

function tell(what: string, tookMs: number, promisedMs: number): void {
  process.stdout.write(`${what}: ${(tookMs / 1000).toFixed(1)} s of ${promisedMs / 1000} s\n`);
  expect(tookMs).toBeLessThan(promisedMs * PATIENCE);
}

async function putCold(name: string): Promise<Response> {
  return await restObject(cold, name, { method: "PUT", body: name });
}

async function marks() {
  const pods = [...(await operatorPods()), await team.get("pods", STORE_POD)];
  return pods.map(markOf);
}

function warningsOf(events: readonly KubeObject[], kind: string, name: string): readonly string[] {
  const about = events.filter(
    ({ regarding, type }) => regarding.name === name && regarding.kind === kind && type === "Warning",
  );
  return about.map(({ reason }) => reason as string);
}

describe("a Vault that is paused", () => {
  let before: Awaited<ReturnType<typeof marks>>;
  let traffic: Traffic;

  it("is noticed at the next look, and told as an outage when it has failed three times in a row", async () => {
    expect((await putCold("before")).ok).toBe(true);
    before = await marks();
    traffic = new Traffic(warm);
    await traffic.served(SERVED);
    const pausedMs = performance.now();
    vault.bao.pause();
    const within = TOLD_MS * PATIENCE;
    const noticed = await team.untilCondition("kmsproviders", "vault", "Reachable", "False", within);
    tell("A KMS that does not answer, to Reachable=False", performance.now() - pausedMs, NOTICED_MS);
    // Whoever looks late finds it told as an outage already.
    const { status, reason } = conditionOf(noticed, "Ready") ?? {};
    expect(status === "True" || reason === "ConnectionFailed").toBe(true);
    const told = await team.untilCondition("kmsproviders", "vault", "Ready", "False", within);
    tell("A KMS that does not answer, to Ready=False", performance.now() - pausedMs, TOLD_MS);
    expect(conditionOf(told, "Ready")).toMatchObject({ reason: "ConnectionFailed" });
    expect(conditionOf(told, "Reconciling")).toBeUndefined();
    expect(conditionOf(told, "Stalled")).toBeUndefined();
  });

  it("keeps nobody from what is in memory, and refuses the rest in time", async () => {
    await traffic.served(SERVED);
    const beganMs = performance.now();
    const refused = await putCold("during");
    tell("A request whose key is in the KMS alone, to its refusal", performance.now() - beganMs, REFUSED_MS);
    expect(refused.status).toBe(503);
    expect(refused.headers.get("retry-after")).toMatch(/^[1-9]\d*$/);
  });

  it("is told on the buckets that need it, once, and not on the store", async () => {
    const bucket = await team.untilCondition("encryptedbuckets", "warm", "Ready", "False", READY_MS);
    expect(conditionOf(bucket, "ProviderReady")).toMatchObject({ status: "False", reason: "ProviderNotReady" });
    expect(conditionOf(bucket, "Reconciling")).toBeUndefined();
    expect(conditionOf(await team.get("encryptedstores", "default"), "Ready")?.status).toBe("True");
    await traffic.served(SERVED);
    const isTold = ({ regarding, reason }: KubeObject) => regarding.name === "warm" && reason === "ProviderNotReady";
    const events = await team.untilEvent("of the bucket", isTold);
    expect(warningsOf(events, "KmsProvider", "vault")).toEqual(["ConnectionFailed"]);
    // A pod may notice it before the operator, whose word it is. Nothing else was ever wrong with the bucket.
    const warnings = warningsOf(events, "EncryptedBucket", "warm").filter((reason) => reason !== "PodsCannotUseKey");
    expect(warnings).toEqual(["ProviderNotReady"]);
  });

  it("is used again by itself when it is back, and nothing was restarted", async () => {
    const backMs = performance.now();
    vault.bao.resume();
    await team.untilReady("kmsproviders", "vault", READY_MS);
    for (const bucket of ["warm", "cold"]) await team.untilReady("encryptedbuckets", bucket, READY_MS);
    tell("A KMS that is back, to everything Ready", performance.now() - backMs, TOLD_MS);
    await traffic.served(SERVED);
    await traffic.stop();
    expect(traffic.unexplained()).toEqual([]);
    expect((await putCold("after")).ok).toBe(true);
    expect(await (await restObject(cold, "before")).text()).toBe("before");
    expect(await marks()).toEqual(before);
  });
});
