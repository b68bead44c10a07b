// Every state that our three kinds were in while all other tests ran, judged by what GitOps tools run themselves: Argo CD's
// interpreter with gitops/argocd/health.lua, and kstatus, by which Flux waits.

import { readFile } from "node:fs/promises";
import { beforeAll, describe, expect, inject, it } from "vitest";
import { type Judged, judge, prepareJudge } from "../gitops/judge.ts";
import { conditionOf, type KubeObject } from "./objects.ts";
import type { Recorded } from "./recorder.ts";

const BUILD_MS = 30 * 60_000;

/** By how the names of namespaces begin: what their tests do there. Everywhere else all that happens is a normal
 *  rollout, until the resource or the namespace is deleted. */
const TROUBLED: Readonly<Record<string, string>> = {
  mistakes: "makes mistakes",
  deletion: "lets deletions wait for a person",
  "foreign-secret": "has Secrets of others in the way",
  "foreign-config": "has Secrets of others in the way",
  ring: "takes a key ring away",
  "secrets-rotate": "gives wrong credentials",
  "kms-outage": "takes the KMS away",
  "pods-die": "takes pods away",
  "at-rest": "takes pods away",
  rotates: "takes pods away",
  "by-kubernetes": "has a Vault that knows not everybody",
  drained: "takes the node away",
  dies: "keeps a Vault from answering",
  "operator-down": "takes pods away",
};

interface Told extends Judged {
  readonly object: KubeObject;
}

let all: readonly Told[];
/** By name of a namespace: the resourceVersion with which its end began. */
let endings: ReadonlyMap<string, bigint>;

beforeAll(async () => {
  const program = await prepareJudge((line) => process.stdout.write(`${line}\n`));
  const lines = (await readFile(inject("recording"), "utf8")).split("\n").slice(0, -1);
  const recorded = lines.map((line) => (JSON.parse(line) as Recorded).object);
  endings = endingsIn(recorded);
  const objects = recorded.filter(({ kind }) => kind !== "Namespace");
  const judged = await judge(program, objects);
  all = objects.map((object, at) => ({ ...(judged[at] as Judged), object }));
  process.stdout.write(`${all.length} states of ${new Set(objects.map(nameOf)).size} resources were judged.\n`);
}, BUILD_MS);

function nameOf({ kind, metadata: { namespace, name, uid } }: KubeObject): string {
  return `${kind} ${namespace}/${name} ${uid}`;
}

function isReady(object: KubeObject): boolean {
  const { status, metadata } = object;
  return (
    metadata.deletionTimestamp === undefined &&
    status?.observedGeneration === metadata.generation &&
    conditionOf(object, "Ready")?.status === "True" &&
    ["Reconciling", "Stalled", "Suspended"].every((type) => conditionOf(object, type) === undefined)
  );
}

function endingsIn(recorded: readonly KubeObject[]): ReadonlyMap<string, bigint> {
  const found = new Map<string, bigint>();
  for (const { kind, metadata } of recorded) {
    if (kind !== "Namespace" || metadata.deletionTimestamp === undefined || found.has(metadata.name)) continue;
    found.set(metadata.name, BigInt(metadata.resourceVersion));
  }
  return found;
}

/** A resource that stays, in a namespace that stays, where nobody makes trouble. */
function isInPeace({ metadata: { namespace = "", resourceVersion, deletionTimestamp } }: KubeObject): boolean {
  if (deletionTimestamp !== undefined) return false;
  const ending = endings.get(namespace);
  const isEnding = ending !== undefined && BigInt(resourceVersion) > ending;
  return !isEnding && !Object.keys(TROUBLED).some((name) => new RegExp(`^${name}-\\d+-\\d+$`).test(namespace));
}

/** What a person needs to understand a state that was judged wrongly. */
function words({ object, health, kstatus, message }: Told): string {
  const conditions = (object.status?.conditions ?? []) as readonly { type: string; status: string; reason: string }[];
  const seen = conditions.map(({ type, status, reason }) => `${type}=${status} ${reason}`).join(", ");
  const { generation } = object.metadata;
  return `${nameOf(object)}, generation ${generation} (observed ${object.status?.observedGeneration}): ${health}, ${kstatus}: ${message} [${seen}]`;
}

describe("on every event of the run", () => {
  it("Argo CD says Healthy, and kstatus Current, of what is Ready and of nothing else", () => {
    const isWrong = ({ object, health, kstatus }: Told) =>
      (health === "Healthy") !== isReady(object) || (kstatus === "Current") !== isReady(object);
    expect(all.filter(isWrong).map(words)).toEqual([]);
    expect(all.some(({ health }) => health === "Healthy")).toBe(true);
  });

  it("neither says that a normal rollout has failed", () => {
    const isAlarm = ({ health, kstatus }: Told) => health === "Degraded" || kstatus === "Failed";
    expect(all.filter((one) => isAlarm(one) && isInPeace(one.object)).map(words)).toEqual([]);
  });

  it("kstatus says Failed of mistakes alone, and both say the same of them", () => {
    const failed = all.filter(({ kstatus }) => kstatus === "Failed");
    expect(failed.filter(({ health, object }) => health !== "Degraded" || !conditionOf(object, "Stalled"))).toEqual([]);
  });

  it("no resource is ever both under way and at its end", () => {
    const isBoth = ({ object }: Told) => conditionOf(object, "Reconciling") && conditionOf(object, "Stalled");
    expect(all.filter(isBoth).map(words)).toEqual([]);
  });
});
