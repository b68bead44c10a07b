// The credentials of one resource's access entries: which pairs the configuration has, and what is to be done about the
// Secret (or file) that applications read. Pure: random pairs are given. The configuration before is the only memory of
// pairs that were replaced, or are not yet published.

import { createHash, createHmac } from "node:crypto";
import type { ConfiguredCredential, Permission } from "../../dataplane/config/config.ts";

/** What S3 asks for; the token of REST follows from it, so that whoever has the configuration can write the Secret. */
export interface Pair {
  readonly accessKeyId: string;
  readonly secret: string;
}

/** What stands where an application looks. `isTidy`: all beside the pair is as it should be too. */
export type SecretSeen =
  | { readonly kind: "absent" }
  | { readonly kind: "foreign"; readonly place: string }
  | { readonly kind: "pair"; readonly pair: Pair; readonly isTidy: boolean };

/** One access entry as its resource wants it. */
export interface AccessWish {
  readonly name: string;
  readonly permissions: readonly Permission[];
  readonly generation: number;
}

export interface EntryObserved {
  readonly wish: AccessWish;
  readonly seen: SecretSeen;
  /** Of this entry, in the configuration before. */
  readonly before: readonly ConfiguredCredential[];
  /** The generation that the status says the Secret has. */
  readonly publishedGeneration: number | undefined;
  /** Whether every ready pod runs the configuration before. */
  readonly isApplied: boolean;
  /** A new random pair, for entries that are in need of one. */
  readonly fresh: Pair | undefined;
}

/** create: where nothing is. publish: over what is there and ours. */
export type CredentialAction = { readonly kind: "create" | "publish"; readonly entry: string; readonly pair: Pair };

export interface CredentialsPlan {
  readonly configured: readonly ConfiguredCredential[];
  readonly actions: readonly CredentialAction[];
  /** Entries whose Secret has what the configuration has, with its generation. */
  readonly published: readonly { readonly entry: string; readonly generation: number }[];
  /** Entries that are on their way. */
  readonly pending: readonly string[];
  /** Those of them whose Secret has gone: their pairs end, and others are made. */
  readonly replaced: readonly string[];
  /** Places where something stands that is not ours. */
  readonly conflicts: readonly { readonly entry: string; readonly place: string }[];
}

/** Of a resource that has no access to give. */
export const NO_CREDENTIALS: CredentialsPlan = {
  configured: [],
  actions: [],
  published: [],
  pending: [],
  replaced: [],
  conflicts: [],
};

type EntryPlan = {
  readonly configured: readonly ConfiguredCredential[];
  readonly state: "published" | "pending" | "replaced" | "conflict";
  readonly action?: CredentialAction;
};

const TOKEN_LABEL = "coffer bearer token 1";
const NONE: readonly ConfiguredCredential[] = [];

/** The bearer token that belongs to a pair. */
export function tokenOf({ accessKeyId, secret }: Pair): string {
  return createHmac("sha256", secret).update(`${TOKEN_LABEL}\0${accessKeyId}`).digest("base64url");
}

/** Entries for which planCredentials needs a fresh pair. */
export function entriesInNeed(entries: readonly Omit<EntryObserved, "fresh">[]): string[] {
  const inNeed = entries.filter(({ seen, before, wish }) => {
    const current = currentOf(before);
    if (seen.kind === "foreign") return false;
    if (current === undefined) return seen.kind === "absent";
    return seen.kind === "pair" && current.generation < wish.generation;
  });
  return inNeed.map(({ wish }) => wish.name);
}

/** What the configuration should have, and the next step towards it for every entry. */
export function planCredentials(entries: readonly EntryObserved[], overlapMs: number, nowMs: number): CredentialsPlan {
  const plans = entries.map((entry) => ({ entry, plan: planEntry(entry, overlapMs, nowMs) }));
  const inState = (state: EntryPlan["state"]) => plans.filter(({ plan }) => plan.state === state);
  return {
    configured: plans.flatMap(({ plan }) => plan.configured),
    actions: plans.flatMap(({ plan }) => (plan.action === undefined ? [] : [plan.action])),
    published: inState("published").map(({ entry, plan }) => ({
      entry: entry.wish.name,
      generation: currentOf(plan.configured)?.generation ?? entry.wish.generation,
    })),
    pending: [...inState("pending"), ...inState("replaced")].map(({ entry }) => entry.wish.name),
    replaced: inState("replaced").map(({ entry }) => entry.wish.name),
    conflicts: inState("conflict").map(({ entry }) => ({
      entry: entry.wish.name,
      place: entry.seen.kind === "foreign" ? entry.seen.place : "",
    })),
  };
}

function planEntry(observed: EntryObserved, overlapMs: number, nowMs: number): EntryPlan {
  const { wish, seen } = observed;
  const before = observed.before
    .filter(({ endsMs }) => endsMs === undefined || endsMs > nowMs)
    .map((credential) => ({ ...credential, permissions: [...wish.permissions] }));
  const current = currentOf(before);
  if (seen.kind === "foreign") return { configured: before, state: "conflict" };
  if (current === undefined) return begin(observed);
  if (seen.kind === "absent") {
    // Whoever takes the Secret away ends its pair; the next pass begins anew, when the configuration has forgotten it.
    return { configured: NONE, state: "replaced" };
  }
  if (current.generation < wish.generation) return rotate(observed, before, current, nowMs + overlapMs);
  // A counter that is lower than what was dealt with belongs to a resource that was made again: it is adopted.
  const configured = before.map((one) => (one === current ? { ...one, generation: wish.generation } : one));
  if (seen.isTidy && isPair(current, seen.pair)) return { configured, state: "published" };
  if (!observed.isApplied) return { configured, state: "pending" };
  return { configured, state: "pending", action: { kind: "publish", entry: wish.name, pair: pairOf(current) } };
}

/** The first pair is published before any pod knows it, so that a crash in between leaves it to be found. */
function begin({ wish, seen, fresh, publishedGeneration }: EntryObserved): EntryPlan {
  if (seen.kind === "pair") {
    return { configured: [credential(wish, seen.pair, publishedGeneration ?? wish.generation)], state: "pending" };
  }
  if (fresh === undefined) return { configured: NONE, state: "pending" };
  return { configured: NONE, state: "pending", action: { kind: "create", entry: wish.name, pair: fresh } };
}

/** A further pair is known to every pod before it is published. */
function rotate(
  { wish, fresh }: EntryObserved,
  before: readonly ConfiguredCredential[],
  current: ConfiguredCredential,
  endsMs: number,
): EntryPlan {
  if (fresh === undefined) return { configured: before, state: "pending" };
  const ending = before.map((one) => (one === current ? { ...one, endsMs } : one));
  return { configured: [credential(wish, fresh, wish.generation), ...ending], state: "pending" };
}

function currentOf(credentials: readonly ConfiguredCredential[]): ConfiguredCredential | undefined {
  return credentials.find(({ endsMs }) => endsMs === undefined);
}

function credential(wish: AccessWish, pair: Pair, generation: number): ConfiguredCredential {
  return {
    entry: wish.name,
    generation,
    accessKeyId: pair.accessKeyId,
    secret: pair.secret,
    tokenSha256: createHash("sha256").update(tokenOf(pair)).digest("hex"),
    permissions: [...wish.permissions],
  };
}

function pairOf({ accessKeyId, secret }: ConfiguredCredential): Pair {
  return { accessKeyId, secret };
}

function isPair(current: ConfiguredCredential, { accessKeyId, secret }: Pair): boolean {
  return current.accessKeyId === accessKeyId && current.secret === secret;
}
