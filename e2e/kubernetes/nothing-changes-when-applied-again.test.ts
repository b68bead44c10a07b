// The same manifests applied again change nothing: neither what was applied nor what was made of it, though the operator
// looks at all of it once more.

import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ANNOTATIONS } from "../../crds/names.ts";
import { ROOT } from "../harness.ts";
import { bucket, localProvider, store } from "./manifests.ts";
import type { KubeObject } from "./objects.ts";
import { changesBetween, OUR_KINDS, photograph, untilAtRest } from "./photograph.ts";
import { createTeam, type Team } from "./team.ts";

const READY_MS = 120_000;
const HANDLED_MS = 60_000;
const QUICKSTART = join(ROOT, "examples", "quickstart");

/** Every field that has something to say without a cluster of its own. */
const FULL = [
  localProvider("full", {
    keyRotation: { keyGeneration: 0, schedule: "0 3 29 2 *", timeZone: "Europe/Berlin" },
    healthCheck: { interval: "90s", timeout: "4s", failureThreshold: 2 },
    cache: { ttl: "1m", maxEntries: 10, negativeTtl: "1s" },
  }),
  store("default", {
    backend: { type: "Filesystem", filesystem: { size: "1Gi" } },
    pod: {
      labels: { team: "photos" },
      annotations: { "example.com/note": "a" },
      resources: { requests: { cpu: "10m", memory: "96Mi" }, limits: { memory: "512Mi" } },
      nodeSelector: { "kubernetes.io/os": "linux" },
      tolerations: [{ key: "example.com/dedicated", operator: "Exists", effect: "NoSchedule" }],
      topologySpreadConstraints: [
        { maxSkew: 1, topologyKey: "kubernetes.io/hostname", whenUnsatisfiable: "ScheduleAnyway" },
      ],
    },
    serviceAccount: { annotations: { "example.com/role": "store" } },
    service: { annotations: { "example.com/zone": "a" } },
    networkPolicy: { allowFrom: [{ namespaceSelector: { matchLabels: { team: "photos" } } }, { podSelector: {} }] },
    selfService: { kmsProviderRef: { name: "full" }, access: [{ name: "admin" }] },
    settings: { maxConcurrentRequests: 100, logLevel: "Warn", audit: { level: "Writes" } },
  }),
  bucket("full", {
    storeRef: { name: "default" },
    encryption: {
      kmsProviderRef: { name: "full" },
      algorithm: "ChaCha20-Poly1305",
      keyMode: "Object",
      chunkSize: "128Ki",
      context: { team: "photos" },
    },
    rewrap: { policy: "Manual", generation: 0 },
    access: [
      { name: "app", permissions: ["Read", "Write"], credentialsGeneration: 0 },
      { name: "reports", permissions: ["List"], secretName: "full-reports-keys" },
    ],
    credentialsOverlap: "1h",
    deletionPolicy: "DeleteIfEmpty",
  }),
] as const;

const READY = [
  ["kmsproviders", "local"],
  ["kmsproviders", "full"],
  ["encryptedstores", "default"],
  ["encryptedbuckets", "photos"],
  ["encryptedbuckets", "full"],
] as const;

let team: Team;

beforeAll(async () => {
  team = await createTeam("again");
});

afterAll(async () => await team?.remove());

async function applyAll(flags: readonly string[]): Promise<string> {
  return `${await team.apply(FULL, flags)}${await team.apply(QUICKSTART, flags)}`;
}

/** Every resource has been looked at once more, to the end of the pass. */
async function untilLookedAt(mark: string): Promise<void> {
  const isHandled = (object: KubeObject | undefined) => object?.status?.lastHandledReconcileAt === mark;
  for (const [resource, name] of READY) {
    await team.patch(resource, name, { metadata: { annotations: { [ANNOTATIONS.reconcileRequestedAt]: mark } } });
  }
  for (const [resource, name] of READY) await team.until(resource, name, `to handle ${mark}`, isHandled, HANDLED_MS);
}

describe.each([
  ["kubectl apply", [], /^\S+ unchanged$/],
  [
    "kubectl apply --server-side",
    ["--server-side", "--field-manager=gitops", "--force-conflicts"],
    / serverside-applied$/,
  ],
] as const)("%s", (_how, flags, answer) => {
  it("for the second time changes nothing", async () => {
    await applyAll(flags);
    for (const [resource, name] of READY) await team.untilReady(resource, name, READY_MS);
    await untilAtRest(team, READY_MS);
    await untilLookedAt(`before ${flags.length}`);
    const before = await photograph(team);
    const printed = (await applyAll(flags)).trim().split("\n");
    expect(printed.filter((line) => !answer.test(line))).toEqual([]);
    expect(printed).toHaveLength(5);
    expect(changesBetween(before, await photograph(team))).toEqual([]);
  });

  it("nor does the operator when it looks at it again", async () => {
    const before = await photograph(team);
    await untilLookedAt(`after ${flags.length}`);
    const after = await photograph(team);
    // Ours carry the wish to be looked at.
    expect(
      changesBetween(before, after).filter((change) => !OUR_KINDS.some((kind) => change.startsWith(kind))),
    ).toEqual([]);
    const generations = (of: typeof after) => [...of].map(([name, { generation }]) => [name, generation]);
    expect(generations(after)).toEqual(generations(before));
  });
});
