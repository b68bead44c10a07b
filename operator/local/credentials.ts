// The credentials of the folder's resources: what their files say, and new random pairs where one is needed.

import { randomBytes } from "node:crypto";
import type { ConfiguredCredential } from "../../dataplane/config/config.ts";
import {
  type AccessWish,
  type CredentialsPlan,
  type EntryObserved,
  entriesInNeed,
  type Pair,
  planCredentials,
} from "../compile/compile.ts";
import { type AccessSurroundings, accessPath, seeAccessFile } from "./accessfiles.ts";

export interface Holder {
  readonly resource: string;
  readonly wishes: readonly AccessWish[];
  readonly published: ReadonlyMap<string, number>;
  /** Of the resource's entry in the configuration before. */
  readonly before: readonly ConfiguredCredential[];
  readonly isApplied: boolean;
  readonly overlapMs: number;
  readonly around: AccessSurroundings;
}

export async function credentialsOf(holder: Holder, accessDir: string, nowMs: number): Promise<CredentialsPlan> {
  const entries: Omit<EntryObserved, "fresh">[] = [];
  for (const wish of holder.wishes) {
    entries.push({
      wish,
      seen: await seeAccessFile(accessPath(accessDir, holder.resource, wish.name), holder.around),
      before: holder.before.filter(({ entry }) => entry === wish.name),
      publishedGeneration: holder.published.get(wish.name),
      isApplied: holder.isApplied,
    });
  }
  const inNeed = new Set(entriesInNeed(entries));
  const supplied = entries.map((entry) => ({ ...entry, fresh: inNeed.has(entry.wish.name) ? newPair() : undefined }));
  return planCredentials(supplied, holder.overlapMs, nowMs);
}

const ID_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const ID_BYTES = 17;
const SECRET_BYTES = 30;

/** Letters and digits alone in the id, and nothing in the secret that a shell or a URL would take amiss. */
function newPair(): Pair {
  const letters = [...randomBytes(ID_BYTES)].map((byte) => ID_CHARACTERS[byte % ID_CHARACTERS.length]);
  return { accessKeyId: `CFR${letters.join("")}`, secret: randomBytes(SECRET_BYTES).toString("base64url") };
}
