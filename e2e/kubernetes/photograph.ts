// All objects of a namespace as they are at one moment, and what has changed between two.

import type { Resource } from "./objects.ts";
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
