// The objects of a store in the cluster: which are as they should be, and what a person is told of those that are not.

import type { EncryptedStore } from "../../crds/encryptedstore.ts";
import { storeObjectName } from "../../crds/names.ts";
import { no, type Verdict, yes } from "../conditions.ts";
import { isKubeError, type KubeError } from "../kube/failure.ts";
import type { OwnedObjects, OwnedType } from "../kube/ownedobjects.ts";
import type { KubeObject, VolumeClaimObject } from "../kube/resources.ts";
import { isControlledBy, isLabelledFor, type Manifest } from "../manifest.ts";
import type { StoreObject, StoreObjects } from "./manifests.ts";

export type StoreObjectTypes = Readonly<Record<StoreObject, OwnedType>>;

/** Every object that is not as it should be, in the order in which they are applied. */
export interface LookedAt {
  readonly due: readonly DueObject[];
  /** In words; they are among those that are due. */
  readonly taken: readonly string[];
  /** Ours, and no longer wanted. */
  readonly unwanted: readonly StoreObject[];
}

export interface DueObject {
  readonly which: StoreObject;
  readonly manifest: Manifest;
}

export function lookAtObjects(
  store: EncryptedStore,
  wanted: StoreObjects,
  types: StoreObjectTypes,
  owned: OwnedObjects,
): LookedAt {
  const due: DueObject[] = [];
  const taken: string[] = [];
  const unwanted: StoreObject[] = [];
  const { namespace = "", name } = store.metadata;
  for (const [which, manifest] of Object.entries(wanted) as [StoreObject, Manifest | undefined][]) {
    if (manifest === undefined) {
      const there = types[which].watch.find({ namespace, name: storeObjectName(name) });
      if (there !== undefined && isControlledBy(there, store)) unwanted.push(which);
      continue;
    }
    const state = owned.look(types[which], manifest, (object) => isOurs(store, which, object));
    if (state !== "right") due.push({ which, manifest });
    if (state === "taken") taken.push(`${manifest.kind} "${manifest.metadata.name}"`);
  }
  return { due, taken, unwanted };
}

export interface Applied {
  /** One was found to be another's. */
  readonly isTaken: boolean;
  readonly failures: readonly unknown[];
  /** What to tell of those that failed, and are tried again. */
  readonly refusals: Refusals;
}

/** What the API server refused. A volume that cannot become what the spec says is told beside the storage. */
export interface Refusals {
  readonly resources: Verdict | undefined;
  readonly volume: Verdict | undefined;
}

/** All of them are tried, whatever became of the others. */
export async function applyObjects(
  store: EncryptedStore,
  due: readonly DueObject[],
  types: StoreObjectTypes,
  owned: OwnedObjects,
  signal: AbortSignal,
): Promise<Applied> {
  const failures: unknown[] = [];
  let refusals: Refusals = { resources: undefined, volume: undefined };
  let isTaken = false;
  for (const { which, manifest } of due) {
    const { watch } = types[which];
    try {
      const outcome = await owned.apply(types[which], manifest, (object) => isOurs(store, which, object), signal);
      isTaken ||= outcome === "taken";
    } catch (error) {
      signal.throwIfAborted();
      failures.push(error);
      const isChange = which === "volumeClaim" && watch.find(manifest.metadata) !== undefined;
      if (isChange) refusals = { ...refusals, volume: refusals.volume ?? resizeRefusal(manifest.metadata.name, error) };
      else refusals = { ...refusals, resources: refusals.resources ?? refusalOf(error) };
    }
  }
  return { isTaken, failures, refusals };
}

/** A volume is taken up again by the next store of that name. */
function isOurs(store: EncryptedStore, which: StoreObject, object: KubeObject): boolean {
  if (which === "volumeClaim") return isLabelledFor(object, store.metadata.name, "data-plane");
  return isControlledBy(object, store);
}

/** ResourcesApplied. `refused`: what the API server said when one was last applied. */
export function resourcesVerdict({ taken, due }: LookedAt, refused: Verdict | undefined): Verdict {
  const [first] = taken;
  if (first !== undefined) {
    const message = `${first} is there already and not ours: remove it, or name this EncryptedStore otherwise`;
    return no("ResourcesApplied", "NameTaken", message);
  }
  if (refused !== undefined && due.length > 0) return refused;
  return yes("ResourcesApplied", "ObjectsApplied", "All that the store needs is there");
}

/** What to tell of an apply that failed; undefined: it is tried again, and nobody need know. */
function refusalOf(error: unknown): Verdict | undefined {
  if (!isKubeError(error, "denied", "invalid")) return undefined;
  const quota = /exceeded quota/.test(error.message);
  return no("ResourcesApplied", quota ? "QuotaExceeded" : "ApplyDenied", `${wordsOf(error)}. It is tried again`);
}

/** All that ever changes of a claim is its size. */
function resizeRefusal(name: string, error: unknown): Verdict | undefined {
  if (!isKubeError(error, "denied", "invalid")) return undefined;
  const advice =
    "To let it grow, set allowVolumeExpansion: true in its StorageClass. It cannot shrink: " +
    "spec.backend.filesystem.size must be no less than what it has. The pods go on with what it has, and it is tried again";
  const message = `PersistentVolumeClaim "${name}" cannot get the size that the spec says: ${wordsOf(error)}. ${advice}`;
  return no("BackendReachable", "VolumeResizeFailed", message);
}

/** Behind the first line the API server shows how the two differ, which says nothing to a person. */
function wordsOf({ message }: KubeError): string {
  const [line = ""] = message.split("\n");
  return line.length > 1000 ? `${line.slice(0, 1000)}…` : line;
}

/** What keeps the volume from being used; undefined: nothing. */
export function volumeVerdict(claim: VolumeClaimObject | undefined): Verdict | undefined {
  const phase = claim?.status?.phase;
  if (claim === undefined || phase === undefined || phase === "Bound") return undefined;
  const { name } = claim.metadata;
  const message = phase === "Lost" ? `PersistentVolumeClaim "${name}" has lost its volume` : pendingWords(claim);
  return no("BackendReachable", "VolumePending", message);
}

/** A claim without a class gets the cluster's default, as soon as there is one. */
function pendingWords({ metadata: { namespace, name }, spec }: VolumeClaimObject): string {
  const { storageClassName } = spec ?? {};
  const waits = `PersistentVolumeClaim "${name}" waits for a volume`;
  return storageClassName === undefined
    ? `${waits}, and the cluster has no default StorageClass: make one the default`
    : `${waits} of StorageClass "${storageClassName}": its events say why (kubectl -n ${namespace} describe pvc ${name})`;
}

/** What its driver says of a volume that is to become larger, and did not; undefined: nothing. */
export function resizeVerdict(claim: VolumeClaimObject | undefined): Verdict | undefined {
  const failed = claim?.status?.conditions?.find(
    ({ type, status }) => status === "True" && /Resize(Error|Failed|Infeasible)$/.test(type),
  );
  if (claim === undefined || failed === undefined) return undefined;
  const message = `PersistentVolumeClaim "${claim.metadata.name}" could not be made larger: ${failed.message ?? failed.reason ?? ""}`;
  return no("BackendReachable", "VolumeResizeFailed", message);
}
