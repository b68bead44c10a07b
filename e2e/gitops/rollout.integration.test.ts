// A rollout as GitOps controllers see it: every watch event of the three kinds is judged by their own code.

import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { KINDS } from "../../crds/kinds.ts";
import { askApiServer, freshNamespace, mustAsk, sharedApiServer } from "../cluster/apiserver.ts";
import { startTestNode, type TestNode } from "../cluster/node.ts";
import { type RunningOperator, startOperator } from "../cluster/operator.ts";
import { type Judged, judge, prepareJudge } from "./judge.ts";

const BUILD_MS = 30 * 60_000;
const READY_MS = 150_000;
const LOOK_EVERY_MS = 50;
const STABLE_MS = 1000;
const ACCESS = [{ name: "app", permissions: ["Read", "Write"] }];

interface Resource {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly resourceVersion: string; readonly generation: number };
  readonly spec: object;
  readonly status: {
    readonly observedGeneration: number;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly key?: { readonly version: string };
    readonly usedBy?: { readonly buckets: number };
    readonly encryption?: { readonly keyVersion: string };
  };
}

let program: string;
let namespace: string;
let node: TestNode;
let operator: RunningOperator;
const events: Resource[] = [];
const stopping = new AbortController();

beforeAll(async () => {
  program = await prepareJudge(() => {});
  const access = sharedApiServer();
  namespace = await freshNamespace(access, "gitops");
  for (const { plural } of Object.values(KINDS)) await watch(plural);
  node = await startTestNode(access, namespace);
  operator = await startOperator(namespace);
}, BUILD_MS);

afterAll(async () => {
  stopping.abort();
  await operator?.stop();
  await node?.close();
});

/** Collects what the API server tells of a kind. Resolves when it has begun to. */
async function watch(plural: string): Promise<void> {
  const { url, caPem, token } = sharedApiServer();
  const path = `/apis/coffer.dev/v1alpha1/namespaces/${namespace}/${plural}?watch=true`;
  const headers = { authorization: `Bearer ${token}` };
  const asked = request(`${url}${path}`, { ca: caPem, headers, signal: stopping.signal, agent: false });
  asked.on("error", () => undefined);
  asked.end();
  const [answer] = (await once(asked, "response")) as [IncomingMessage];
  if (answer.statusCode !== 200) {
    // A kind that was defined a moment ago is not watched at once.
    answer.resume();
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    return await watch(plural);
  }
  let rest = "";
  answer.setEncoding("utf8");
  answer.on("error", () => undefined);
  answer.on("data", (piece: string) => {
    const lines = `${rest}${piece}`.split("\n");
    rest = lines.pop() ?? "";
    events.push(...lines.map((line) => (JSON.parse(line) as { object: Resource }).object));
  });
}

async function apply(kind: keyof typeof KINDS, name: string, spec: object): Promise<void> {
  const object = { apiVersion: "coffer.dev/v1alpha1", kind, metadata: { name }, spec };
  const path = `/apis/coffer.dev/v1alpha1/namespaces/${namespace}/${KINDS[kind].plural}/${name}`;
  const headers = { "content-type": "application/apply-patch+yaml" };
  const { status, body } = await askApiServer(
    sharedApiServer(),
    "PATCH",
    `${path}?fieldManager=gitops`,
    object,
    headers,
  );
  expect(`${status} ${String(body["message"] ?? "")}`).toMatch(/^20[01] $/);
}

async function read(kind: keyof typeof KINDS, name: string): Promise<Resource> {
  const path = `/apis/coffer.dev/v1alpha1/namespaces/${namespace}/${KINDS[kind].plural}/${name}`;
  return (await mustAsk(sharedApiServer(), "GET", path)) as unknown as Resource;
}

/** As it is once nothing of it has changed for a second. */
async function stable(look: () => Promise<Resource[]>): Promise<Resource[]> {
  const versions = (of: readonly Resource[]) => of.map(({ metadata }) => metadata.resourceVersion).join(" ");
  let seen = await look();
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, STABLE_MS));
    const now = await look();
    if (versions(now) === versions(seen)) return now;
    seen = now;
  }
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + READY_MS;
  while (!holds()) {
    if (performance.now() > deadlineMs) throw new Error(`${what}: it never came to that\n${operator.printed()}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}

const latest = (name: string) => events.findLast(({ metadata }) => metadata.name === name);
const isTrue = (resource: Resource | undefined, wanted: string) =>
  resource?.status.conditions?.some(({ type, status }) => type === wanted && status === "True") === true;
const isReady = (resource: Resource | undefined) =>
  resource?.status.observedGeneration === resource?.metadata.generation &&
  isTrue(resource, "Ready") &&
  resource?.status.conditions?.every(({ type }) => type !== "Reconciling") === true;

/** What the events since `from` look like, by resource, repetitions left out. */
async function storyOf(from: number): Promise<Record<string, Judged["health"][]>> {
  const told = events.slice(from);
  const judged = await judge(program, told);
  const story: Record<string, Judged["health"][]> = {};
  for (const [at, { health, kstatus, message }] of judged.entries()) {
    const resource = told[at] as Resource;
    // Never Healthy, nor Current, before it is so.
    const { kind, metadata, status } = resource;
    const seen = { kind, name: metadata.name, message, conditions: status.conditions };
    expect({ ...seen, healthy: health === "Healthy", current: kstatus === "Current" }).toEqual({
      ...seen,
      healthy: isReady(resource),
      current: isReady(resource),
    });
    const before = story[metadata.name] ?? [];
    if (before.at(-1) !== health) before.push(health);
    story[metadata.name] = before;
  }
  return story;
}

describe("to a GitOps controller", () => {
  it("a first rollout is Progressing, then Healthy, and never Degraded", async () => {
    await apply("EncryptedBucket", "photos", { encryption: { kmsProviderRef: { name: "local" } }, access: ACCESS });
    await apply("KmsProvider", "local", { type: "Local" });
    await until("Ready", () => ["local", "photos", "default"].every((name) => isReady(latest(name))));
    const story = await storyOf(0);
    for (const name of ["local", "photos", "default"]) {
      expect([name, story[name]?.[0], story[name]?.at(-1)]).toEqual([name, "Progressing", "Healthy"]);
      expect([name, story[name]]).not.toEqual([name, expect.arrayContaining(["Degraded"])]);
    }
  });

  it("applying the same again changes nothing", async () => {
    // What is told of them after they are ready.
    await until(
      "swept",
      () => isTrue(latest("photos"), "RewrapComplete") && latest("local")?.status.usedBy?.buckets === 1,
    );
    const both = async () => await Promise.all([read("EncryptedBucket", "photos"), read("KmsProvider", "local")]);
    const before = await stable(both);
    await apply("EncryptedBucket", "photos", { encryption: { kmsProviderRef: { name: "local" } }, access: ACCESS });
    await apply("KmsProvider", "local", { type: "Local" });
    const after = await both();
    expect(after.map(({ metadata }) => metadata)).toEqual(before.map(({ metadata }) => metadata));
  });

  it("a rotation and a further bucket are never Degraded", async () => {
    const from = events.length;
    await apply("KmsProvider", "local", { type: "Local", keyRotation: { keyGeneration: 1 } });
    await apply("EncryptedBucket", "more", { encryption: { kmsProviderRef: { name: "local" } }, access: ACCESS });
    await until("rotated", () => latest("photos")?.status.encryption?.keyVersion === "2");
    await until("Ready", () => ["local", "photos", "more", "default"].every((name) => isReady(latest(name))));
    const story = await storyOf(from);
    expect(Object.values(story).flat()).not.toContain("Degraded");
    expect(story["more"]?.at(-1)).toBe("Healthy");
  });

  it("a pod that is killed is no mistake: nothing Failed, and Healthy again", async () => {
    const from = events.length;
    await node.kill("coffer-default-0");
    await until("Ready", () => ["photos", "default"].every((name) => isReady(latest(name))));
    const judged = await judge(program, events.slice(from));
    expect(judged.map(({ kstatus }) => kstatus)).not.toContain("Failed");
  });

  it("a mistake is Degraded and Failed, and Healthy again when it is corrected", async () => {
    const wrong = { type: "Local", keyRotation: { schedule: "* * * * *", timeZone: "Nowhere" } };
    await apply("KmsProvider", "mistaken", wrong);
    const has = (wanted: string) => latest("mistaken")?.status.conditions?.some(({ type }) => type === wanted) === true;
    await until("Stalled", () => has("Stalled") && !has("Reconciling"));
    const [judged] = await judge(program, [latest("mistaken") as Resource]);
    expect(judged).toMatchObject({ health: "Degraded", kstatus: "Failed" });
    expect(judged?.message).toContain("TimeZoneUnknown");
    await apply("KmsProvider", "mistaken", { type: "Local" });
    await until("Ready", () => isReady(latest("mistaken")));
    const [healed] = await judge(program, [latest("mistaken") as Resource]);
    expect(healed).toMatchObject({ health: "Healthy", kstatus: "Current" });
  });
});
