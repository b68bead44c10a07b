// KmsProviders where there is a cluster: observes and acts. What is to be done is plan.ts's to say.

import type { EncryptedBucket } from "../../crds/encryptedbucket.ts";
import type { EncryptedStore } from "../../crds/encryptedstore.ts";
import type { KmsProvider, KmsProviderStatus } from "../../crds/kmsprovider.ts";
import { ANNOTATIONS, keyRingName } from "../../crds/names.ts";
import { durationMs } from "../../crds/units.ts";
import { openRingAdmin, openVaultAdmin } from "../../kms/open.ts";
import { type KmsOptions, kmsKeyIdOf } from "../../kms/options.ts";
import { createRing, RingChanged } from "../../kms/ring.ts";
import type { Clock } from "../clock.ts";
import { blockedNotices, conditionOf } from "../conditions.ts";
import { type Controller, itemOf } from "../controller.ts";
import { inUseFinalizers, withDeletionBlocked } from "../inuse.ts";
import type { Notice, Plan, ResourceName } from "../kind.ts";
import type { Kube } from "../kube/client.ts";
import { setFinalizers } from "../kube/finalizers.ts";
import type { OwnedObjects, OwnedType } from "../kube/ownedobjects.ts";
import type { References } from "../kube/references.ts";
import { RESOURCES } from "../kube/resources.ts";
import type { ScopedWatch } from "../kube/scopedwatch.ts";
import { writeStatus } from "../kube/status.ts";
import type { Materials } from "../materials.ts";
import type { LookMetrics } from "../metrics.ts";
import { Looks } from "./looks.ts";
import { isOurLogin, loginAccount } from "./manifests.ts";
import {
  isRotationWished,
  isSameKey,
  type KeyFound,
  type ObservedProvider,
  type ProviderAction,
  planProvider,
} from "./plan.ts";
import { createRingSecret, findRing, ringPlace } from "./ringsecret.ts";
import { findVaultOptions, referencesOf, type VaultNeeds } from "./vaultoptions.ts";

export interface ProviderNeeds extends VaultNeeds {
  readonly kube: Kube;
  readonly clock: Clock;
  readonly providers: ScopedWatch<KmsProvider>;
  readonly buckets: ScopedWatch<EncryptedBucket>;
  readonly stores: ScopedWatch<EncryptedStore>;
  readonly references: References;
  readonly owned: OwnedObjects;
  readonly serviceAccounts: OwnedType;
  readonly materials: Materials;
  readonly looks: Looks;
  /** How long the lease certainly lasts: nothing is rotated with less than a call may take. */
  remainingMs(): number;
  tell(provider: KmsProvider, notice: Notice): void;
  failed(name: ResourceName, error: unknown): void;
}

interface Observed {
  readonly planned: ObservedProvider;
  /** Who names it, in words. */
  readonly users: readonly string[];
  readonly dueInMs: number | undefined;
  /** The ServiceAccount that is made for its login is there, and not as it was made. */
  readonly isLoginChanged: boolean;
  /** It goes, and nobody names it any more, or its namespace goes: it is not looked at. */
  readonly isLeaving: boolean;
}

type Action =
  | { readonly kind: "planned"; readonly provider: KmsProvider; readonly action: ProviderAction }
  | { readonly kind: "keepLogin"; readonly provider: KmsProvider }
  | { readonly kind: "finalizers"; readonly provider: KmsProvider; readonly users: readonly string[] };

/** What stands where the key is, and what opens it for us and for pods. */
interface KeyAtHand {
  readonly key: KeyFound;
  readonly options: KmsOptions | undefined;
  readonly podOptions: KmsOptions | undefined;
}

/** Until the key is rotated: a login, a look at its version, the rotation. All end while the lease is ours for certain,
 *  however long a health check may take. In whole seconds, so that what is told of a failure stays the same. */
const QUESTIONS = 3;
const QUESTION_MS_MAX = 4000;

/** `done` is told of each provider whose key was looked at. */
export function createLooks(
  clock: Clock,
  done: (provider: string) => void,
  counts: LookMetrics,
  signal: AbortSignal,
): Looks {
  return new Looks(clock, done, counts, signal);
}

export function createProviderController(needs: ProviderNeeds): Controller<KmsProvider, Observed, Action> {
  const rotateFailures = new Map<string, string>();

  async function rotate(provider: KmsProvider, ifVersion: string, signal: AbortSignal): Promise<void> {
    const item = itemOf(provider.metadata);
    const questionMs = Math.min(QUESTION_MS_MAX, Math.floor(needs.remainingMs() / QUESTIONS / 1000) * 1000);
    if (questionMs <= 0) throw new Error("The lease is renewed before the key is rotated");
    const timeoutMs = Math.min(durationMs(provider.spec.healthCheck.timeout), questionMs);
    try {
      needs.looks.noteVersion(item, await rotateKey(needs, provider, ifVersion, timeoutMs, signal));
      rotateFailures.delete(item);
    } catch (error) {
      rotateFailures.set(item, error instanceof Error ? error.message : "The rotation failed");
      throw error;
    }
  }

  return {
    kind: {
      async observe(name, signal) {
        const item = itemOf(name);
        const provider = needs.providers.find(name);
        if (provider === undefined) {
          forget(needs, item);
          rotateFailures.delete(item);
          return undefined;
        }
        const ring = `Secret/${name.namespace}/${keyRingName(name.name)}`;
        needs.references.set(item, [...referencesOf(provider), ring]);
        return await observe(needs, provider, rotateFailures.get(item), signal);
      },
      plan,
      async act(action, signal) {
        const { provider } = action;
        if (action.kind === "finalizers") {
          await keepFinalizers(needs, provider, action.users, signal);
          return;
        }
        if (action.kind === "keepLogin") {
          await keepLogin(needs, provider, signal);
          return;
        }
        const { action: wanted } = action;
        if (wanted.kind === "makeRing") await makeRing(needs, provider, signal);
        else if (wanted.kind === "makeLogin") await keepLogin(needs, provider, signal);
        else await rotate(provider, wanted.ifVersion, signal);
      },
    },
    resourceOf: ({ planned }) => planned.provider,
    async writeStatus(provider, status, signal) {
      needs.providers.note(await writeStatus(needs.kube, RESOURCES.kmsProviders, provider, status, signal));
    },
    tell: needs.tell,
    failed: needs.failed,
  };
}

function forget({ looks, materials, references }: ProviderNeeds, item: string): void {
  looks.forget(item);
  materials.forget(item);
  references.set(item, []);
}

/** Over what is there now: this pass has written the status itself. */
async function keepFinalizers(
  { kube, providers }: ProviderNeeds,
  { metadata: { namespace = "", name } }: KmsProvider,
  users: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const provider = providers.find({ namespace, name });
  const wanted = provider === undefined ? undefined : inUseFinalizers(provider, users);
  if (provider === undefined || wanted === undefined) return;
  const written = await setFinalizers(kube, RESOURCES.kmsProviders, provider, wanted, signal);
  if (written !== undefined) providers.note(written);
}

async function observe(
  needs: ProviderNeeds,
  provider: KmsProvider,
  rotateFailure: string | undefined,
  signal: AbortSignal,
): Promise<Observed> {
  const users = usersOf(needs, provider);
  // In a namespace that goes, the right to read may have gone already: the end of it all must not depend on it.
  if (provider.metadata.deletionTimestamp !== undefined && users.words.length === 0) return leaving(provider, []);
  const item = itemOf(provider.metadata);
  const isWished = isRotationWished(provider, needs.clock.now());
  const { key, options, podOptions } = await findKey(needs, provider, isWished, signal);
  if (await isTakenApart(needs, provider, key, signal)) return leaving(provider, users.words);
  if (isAskedFor(provider)) needs.looks.hurry(item);
  const isInVault = options?.type === "Vault";
  const look =
    options === undefined ? undefined : await needs.looks.look(item, provider, options, isWished && isInVault);
  const seen = isInVault ? vaultKey(provider, options, look?.version, look?.probe) : key;
  const isOurs = seen.kind !== "found" || isSameKey(provider, seen);
  needs.materials.set(item, materialOf(provider, isOurs ? podOptions : undefined, look?.probe));
  return {
    planned: {
      provider,
      key: seen,
      probe: look?.probe,
      isReadAnew: isInVault ? look?.isReadAnew === true : isWished,
      failures: look?.failures ?? 0,
      ringPlace: ringPlace(provider),
      endpoint: provider.spec.vault?.address,
      usedByBuckets: users.buckets,
      rotateFailure,
      // A pass waits for its call.
      isRotating: false,
    },
    users: users.words,
    dueInMs: options === undefined ? undefined : needs.looks.dueInMs(item),
    isLoginChanged: seen.kind !== "loginMissing" && isLoginDue(needs, provider),
    isLeaving: false,
  };
}

/** Whether somebody wants it looked at now, and has not been told yet that it was. */
function isAskedFor({ metadata, status }: KmsProvider): boolean {
  const asked = metadata.annotations?.[ANNOTATIONS.reconcileRequestedAt];
  return asked !== undefined && asked !== status.lastHandledReconcileAt;
}

/** Whether what is missing was taken away with the namespace, which may take its objects in any order. Asked when a
 *  provider that was ready misses something, and no more. */
async function isTakenApart(
  { kube }: ProviderNeeds,
  { metadata, status }: KmsProvider,
  { kind }: KeyFound,
  signal: AbortSignal,
): Promise<boolean> {
  const isMissing = kind === "absent" || kind === "unresolved" || kind === "loginMissing";
  if (!isMissing || conditionOf(status.conditions, "Ready")?.status !== "True") return false;
  return await kube.isEnding(metadata.namespace ?? "", signal);
}

function leaving(provider: KmsProvider, users: readonly string[]): Observed {
  const planned: ObservedProvider = {
    provider,
    key: { kind: "pending" },
    probe: undefined,
    isReadAnew: false,
    failures: 0,
    ringPlace: ringPlace(provider),
    endpoint: undefined,
    usedByBuckets: 0,
    rotateFailure: undefined,
    isRotating: false,
  };
  return { planned, users, dueInMs: undefined, isLoginChanged: false, isLeaving: true };
}

function plan(
  { planned, users, dueInMs, isLoginChanged, isLeaving }: Observed,
  now: Date,
): Plan<Action, KmsProviderStatus> {
  const { provider } = planned;
  const isHeldRight = inUseFinalizers(provider, users) === undefined;
  const finalizers = isHeldRight ? [] : [{ kind: "finalizers" as const, provider, users }];
  if (isLeaving) return { actions: finalizers, status: provider.status, events: [], againAfterMs: undefined };
  const { actions, status, events, againAfterMs } = planProvider(planned, now);
  const generation = provider.metadata.generation ?? 0;
  const conditions = withDeletionBlocked(provider, status.conditions ?? [], users, generation, now);
  const waits = [againAfterMs, dueInMs].filter((ms) => ms !== undefined);
  return {
    actions: [
      ...finalizers,
      ...actions.map((action) => ({ kind: "planned" as const, provider, action })),
      ...(isLoginChanged ? [{ kind: "keepLogin" as const, provider }] : []),
    ],
    status: { ...status, conditions },
    events: [...events, ...blockedNotices(provider.status.conditions, conditions)],
    againAfterMs: waits.length === 0 ? undefined : Math.min(...waits),
  };
}

async function findKey(
  needs: ProviderNeeds,
  provider: KmsProvider,
  isWished: boolean,
  signal: AbortSignal,
): Promise<KeyAtHand> {
  if (provider.spec.type === "Vault") {
    const found = await findVaultOptions(provider, needs, signal);
    if ("key" in found) return { key: found.key, options: undefined, podOptions: undefined };
    return { key: { kind: "pending" }, ...found };
  }
  const { namespace = "", name } = provider.metadata;
  const ref = provider.spec.local?.keySecretRef;
  const secretName = { namespace, name: ref?.name ?? keyRingName(name) };
  // What is remembered may be older than the last rotation: of another leader, say.
  if (isWished && ref === undefined) needs.secrets.forget(secretName);
  const secret = await needs.secrets.read(secretName, signal);
  const { key, ring } = findRing(provider, secret);
  const isUsable = ring !== undefined && key.kind === "found" && isSameKey(provider, key);
  const options: KmsOptions | undefined = isUsable ? { type: "Local", ring } : undefined;
  return { key, options, podOptions: options };
}

/** A key that was known and cannot be looked at now is still the same key: what fails is the probe. */
function vaultKey(
  { status }: KmsProvider,
  options: KmsOptions,
  version: string | undefined,
  probe: ObservedProvider["probe"],
): KeyFound {
  const known = version ?? status.key?.version;
  if (known !== undefined) return { kind: "found", id: kmsKeyIdOf(options), version: known };
  if (probe?.outcome !== "failed") return { kind: "pending" };
  return { kind: "failed", code: probe.code, message: probe.message };
}

/** Only what was tried and works enters a configuration. */
function materialOf(
  { metadata: { name } }: KmsProvider,
  options: KmsOptions | undefined,
  probe: ObservedProvider["probe"],
) {
  if (options === undefined) {
    return { finding: "KeyUnusable", message: `KmsProvider "${name}" has no key that can be used` } as const;
  }
  if (probe?.outcome !== "same") {
    const message = `The key of KmsProvider "${name}" could not be used when it was tried`;
    return { finding: "KeyUnusable", message } as const;
  }
  return { options, kmsKeyId: kmsKeyIdOf(options) };
}

/** Buckets that are not going themselves, also those that are still leaving; and stores whose clients make buckets. */
function usersOf({ buckets, stores }: ProviderNeeds, { metadata }: KmsProvider) {
  const { namespace = "", name } = metadata;
  const there = buckets.inNamespace(namespace).filter((bucket) => bucket.metadata.deletionTimestamp === undefined);
  const naming = there.filter(({ spec }) => spec.encryption.kmsProviderRef.name === name);
  const leaving = there.filter((bucket) => bucket.status.encryption?.provider === name && !naming.includes(bucket));
  const serving = stores
    .inNamespace(namespace)
    .filter(
      (store) => store.metadata.deletionTimestamp === undefined && store.spec.selfService?.kmsProviderRef.name === name,
    );
  return {
    buckets: naming.length,
    words: [
      ...[...naming, ...leaving].map((bucket) => `EncryptedBucket "${bucket.metadata.name}"`),
      ...serving.map((store) => `EncryptedStore "${store.metadata.name}" (selfService)`),
    ],
  };
}

/** Once, and never again: whoever has seen a key knows that it must not be replaced. */
async function makeRing(needs: ProviderNeeds, provider: KmsProvider, signal: AbortSignal): Promise<void> {
  const { namespace = "", name } = provider.metadata;
  const now = await needs.kube.read(RESOURCES.kmsProviders, { namespace, name }, signal);
  if (now === undefined || now.metadata.uid !== provider.metadata.uid || now.status.key !== undefined) return;
  try {
    await createRingSecret(needs.kube, needs.secrets, provider).replace(
      createRing(needs.clock.now()),
      "absent",
      signal,
    );
  } catch (error) {
    // Another that stands there meanwhile is as good: the next look finds it.
    if (!(error instanceof RingChanged)) throw error;
  }
}

function isLoginDue({ owned, serviceAccounts }: ProviderNeeds, { spec, metadata }: KmsProvider): boolean {
  const login = spec.vault?.auth.kubernetes;
  if (login === undefined || login.serviceAccountRef !== undefined) return false;
  return owned.look(serviceAccounts, loginAccount(metadata.namespace ?? ""), isOurLogin) === "due";
}

/** Makes the account of the login, or puts it right. One of that name that somebody else made is logged in as, and left
 *  as it is. */
async function keepLogin(
  { owned, serviceAccounts }: ProviderNeeds,
  { metadata }: KmsProvider,
  signal: AbortSignal,
): Promise<void> {
  await owned.apply(serviceAccounts, loginAccount(metadata.namespace ?? ""), isOurLogin, signal);
}

/** The newest version, whoever made it. */
async function rotateKey(
  needs: ProviderNeeds,
  provider: KmsProvider,
  ifVersion: string,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<string> {
  if (provider.spec.type === "Vault") {
    const found = await findVaultOptions(provider, needs, signal);
    if ("key" in found) throw new Error(`The key of "${provider.metadata.name}" cannot be opened`);
    const admin = await openVaultAdmin(found.options, { timeoutMs });
    try {
      return await admin.rotate(ifVersion, signal);
    } finally {
      await admin.close();
    }
  }
  const holder = createRingSecret(needs.kube, needs.secrets, provider);
  const kept = await holder.read(signal);
  if (kept === undefined) throw new Error(`The key ring of "${provider.metadata.name}" has gone`);
  return await (await openRingAdmin(holder, kept.ring.id, needs.clock.now)).rotate(ifVersion, signal);
}
