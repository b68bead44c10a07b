// All objects of a namespace as they are at one moment, and what has changed between two.

import type { KubeObject, Resource } from "./objects.ts";
import type { Team } from "./team.ts";

export interface Seen {
  readonly uid: string;
  readonly generation: number | undefined;
  readonly resourceVersion: string;
}

export type Photograph = ReadonlyMap<string, Seen>;

export const OUR_KINDS = ["kmsproviders", "encryptedbuckets", "encryptedstores"] as const;

/** What is made for our kinds. Pods among them: nothing may restart. */
const MADE: readonly Resource[] = [
  "secrets",
  "services",
  "serviceaccounts",
  "persistentvolumeclaims",
  "statefulsets",
  "networkpolicies",
  "poddisruptionbudgets",
  "pods",
];

/** By plural and name. */
export async function photograph(team: Team): Promise<Photograph> {
  const seen = new Map<string, Seen>();
  for (const resource of [...OUR_KINDS, ...MADE]) {
    for (const { metadata } of await team.list(resource)) {
      const { uid, generation, resourceVersion } = metadata;
      seen.set(`${resource}/${metadata.name}`, { uid, generation, resourceVersion });
    }
  }
  return seen;
}

/** Until what is ready has been told to the end: the first sweep of a bucket is told after it is ready, and the cluster's
 *  controllers count pods after these are. */
export async function untilAtRest(team: Team, withinMs: number): Promise<void> {
  for (const { metadata } of await team.list("encryptedbuckets")) {
    await team.untilCondition("encryptedbuckets", metadata.name, "RewrapComplete", "True", withinMs);
  }
  for (const resource of ["statefulsets", "poddisruptionbudgets"] as const) {
    for (const { metadata } of await team.list(resource)) {
      await team.until(resource, metadata.name, "to have counted its pods", hasCounted, withinMs);
    }
  }
}

function hasCounted(object: KubeObject | undefined): boolean {
  const { metadata, status = {} } = object ?? {};
  const [counted, expected] =
    object?.kind === "StatefulSet"
      ? [status.availableReplicas, object["spec"].replicas]
      : [status.currentHealthy, status.expectedPods];
  return status.observedGeneration === metadata?.generation && counted > 0 && counted === expected;
}

/** In words. */
export function changesBetween(before: Photograph, after: Photograph): readonly string[] {
  const names = new Set([...before.keys(), ...after.keys()]);
  return [...names].flatMap((name) => {
    const was = before.get(name);
    const is = after.get(name);
    if (was === undefined) return [`${name} is new`];
    if (is === undefined) return [`${name} has gone`];
    if (was.uid !== is.uid) return [`${name} is another`];
    if (was.generation !== is.generation) return [`${name}: generation ${was.generation} → ${is.generation}`];
    return was.resourceVersion === is.resourceVersion ? [] : [`${name} was written`];
  });
}
