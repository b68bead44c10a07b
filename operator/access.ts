// Access Secrets where there is a cluster: what the Secrets of a resource's entries say, what is to become of them, and
// doing it. Of EncryptedBuckets and of a store's selfService alike.

import { randomBytes } from "node:crypto";
import { accessSecretName } from "../crds/names.ts";
import type { ConfiguredCredential } from "../dataplane/config/config.ts";
import { type AccessSurroundings, accessData, accessSecret, isUsablePair, seeAccessSecret } from "./accesssecret.ts";
import {
  type AccessWish,
  type CredentialAction,
  type CredentialsPlan,
  type EntryObserved,
  entriesInNeed,
  type Pair,
  planCredentials,
} from "./compile/compile.ts";
import type { Kube } from "./kube/client.ts";
import type { NamedReader } from "./kube/namedreader.ts";
import { RESOURCES, type SecretObject } from "./kube/resources.ts";
import { isControlledBy, type Owner } from "./manifest.ts";

export interface AccessHolder {
  readonly owner: Owner;
  readonly entries: readonly (AccessWish & { readonly secretName?: string })[];
  readonly published: ReadonlyMap<string, number>;
  /** Of the resource's entry in the configuration before. */
  readonly before: readonly ConfiguredCredential[];
  readonly isApplied: boolean;
  readonly overlapMs: number;
  readonly around: AccessSurroundings;
}

export class Access {
  readonly #kube: Kube;
  readonly #secrets: NamedReader<SecretObject>;
  /** Pairs that were drawn and stand in no configuration yet, so that a pass which is repeated draws no others. */
  readonly #drawn = new Map<string, Pair>();

  constructor(kube: Kube, secrets: NamedReader<SecretObject>) {
    this.#kube = kube;
    this.#secrets = secrets;
  }

  async plan(holder: AccessHolder, nowMs: number, signal: AbortSignal): Promise<CredentialsPlan> {
    const entries: Omit<EntryObserved, "fresh">[] = [];
    for (const { secretName, ...wish } of holder.entries) {
      const { metadata } = holder.owner;
      const name = accessSecretName(metadata.name, {
        name: wish.name,
        ...(secretName === undefined ? {} : { secretName }),
      });
      const secret = await this.#secrets.read({ namespace: metadata.namespace ?? "", name }, signal);
      const before = holder.before.filter(({ entry }) => entry === wish.name);
      entries.push({
        wish,
        seen: this.#seen(holder, secret, wish, before),
        before,
        publishedGeneration: holder.published.get(wish.name),
        isApplied: holder.isApplied,
      });
    }
    const inNeed = new Set(entriesInNeed(entries));
    const supplied = entries.map((entry) => ({
      ...entry,
      fresh: inNeed.has(entry.wish.name) ? this.#draw(holder.owner, entry.wish) : undefined,
    }));
    this.#forgetUsed(holder, entries);
    return planCredentials(supplied, holder.overlapMs, nowMs);
  }

  /** `create` never goes over what is there; `publish` only over what is ours. */
  async carryOut(
    owner: Owner,
    secretName: string,
    { kind, pair }: CredentialAction,
    around: AccessSurroundings,
    signal: AbortSignal,
  ): Promise<void> {
    const namespace = owner.metadata.namespace ?? "";
    if (kind === "create") {
      this.#secrets.note(
        await this.#kube.create(RESOURCES.secrets, accessSecret(owner, secretName, pair, around), signal),
      );
      return;
    }
    const secret = await this.#secrets.read({ namespace, name: secretName }, signal);
    // Gone, or changed hands, since it was looked at: the next pass sees that.
    if (secret === undefined || !isControlledBy(secret, owner)) return;
    const { labels } = accessSecret(owner, secretName, pair, around).metadata;
    const metadata = { resourceVersion: secret.metadata.resourceVersion, labels };
    const patch = { metadata, data: accessData(pair, around) };
    this.#secrets.note(await this.#kube.patch(RESOURCES.secrets, { namespace, name: secretName }, patch, signal));
  }

  /** The Secret of an entry that has gone; another's stays. */
  async remove(owner: Owner, secretName: string, signal: AbortSignal): Promise<void> {
    const name = { namespace: owner.metadata.namespace ?? "", name: secretName };
    const secret = await this.#secrets.read(name, signal);
    if (secret === undefined || !isControlledBy(secret, owner)) return;
    const { uid = "", resourceVersion = "" } = secret.metadata;
    await this.#kube.remove(RESOURCES.secrets, name, { uid, resourceVersion }, signal);
    this.#secrets.forget(name);
  }

  /** A Secret of ours without a pair that can be used is filled again: with the configuration's, else with a new one. */
  #seen(
    { owner, around }: AccessHolder,
    secret: SecretObject | undefined,
    wish: AccessWish,
    before: readonly ConfiguredCredential[],
  ): EntryObserved["seen"] {
    const seen = seeAccessSecret(secret, owner, around);
    if (seen.kind !== "pair" || isUsablePair(seen.pair)) return seen;
    const current = before.find(({ endsMs }) => endsMs === undefined);
    const pair = current ?? this.#draw(owner, wish);
    return { kind: "pair", pair: { accessKeyId: pair.accessKeyId, secret: pair.secret }, isTidy: false };
  }

  #draw(owner: Owner, wish: AccessWish): Pair {
    const key = drawnKey(owner, wish);
    const known = this.#drawn.get(key);
    if (known !== undefined) return known;
    const pair = newPair();
    this.#drawn.set(key, pair);
    return pair;
  }

  /** What stands in a configuration or a Secret is remembered there. */
  #forgetUsed({ owner }: AccessHolder, entries: readonly Omit<EntryObserved, "fresh">[]): void {
    for (const { wish, before, seen } of entries) {
      const key = drawnKey(owner, wish);
      const drawn = this.#drawn.get(key);
      if (drawn === undefined) continue;
      const isConfigured = before.some(({ accessKeyId }) => accessKeyId === drawn.accessKeyId);
      const isPublished = seen.kind === "pair" && seen.isTidy && seen.pair.accessKeyId === drawn.accessKeyId;
      if (isConfigured || isPublished) this.#drawn.delete(key);
    }
  }
}

function drawnKey({ metadata }: Owner, { name, generation }: AccessWish): string {
  return `${metadata.uid}/${name}/${generation}`;
}

const ID_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const ID_BYTES = 17;
const SECRET_BYTES = 30;

/** Letters and digits alone in the id, and nothing in the secret that a shell or a URL would take amiss. */
function newPair(): Pair {
  const letters = [...randomBytes(ID_BYTES)].map((byte) => ID_CHARACTERS[byte % ID_CHARACTERS.length]);
  return { accessKeyId: `CFR${letters.join("")}`, secret: randomBytes(SECRET_BYTES).toString("base64url") };
}
