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

/** All of them are tried; fails with what the first said that failed. Whether one was found to be another's. */
export async function applyObjects(
  store: EncryptedStore,
  due: readonly DueObject[],
  types: StoreObjectTypes,
  owned: OwnedObjects,
  signal: AbortSignal,
): Promise<boolean> {
  const failures: unknown[] = [];
  let isTaken = false;
  for (const { which, manifest } of due) {
    try {
      const outcome = await owned.apply(types[which], manifest, (object) => isOurs(store, which, object), signal);
      isTaken ||= outcome === "taken";
    } catch (error) {
      signal.throwIfAborted();
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
  return isTaken;
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
export function refusalOf(error: unknown): Verdict | undefined {
  if (!isKubeError(error, "denied", "invalid")) return undefined;
  const quota = /exceeded quota/.test(error.message);
  return no("ResourcesApplied", quota ? "QuotaExceeded" : "ApplyDenied", `${wordsOf(error)}. It is tried again`);
}

function wordsOf({ message }: KubeError): string {
  return message.length > 1000 ? `${message.slice(0, 1000)}…` : message;
}

/** What keeps the volume from being used, or from growing; undefined: nothing. */
export function volumeVerdict(claim: VolumeClaimObject | undefined): Verdict | undefined {
  if (claim === undefined) return undefined;
  const { phase, conditions = [] } = claim.status ?? {};
  const { name } = claim.metadata;
  const failed = conditions.find(
    ({ type, status }) => status === "True" && /Resize(Error|Failed|Infeasible)$/.test(type),
  );
  if (failed !== undefined) {
    const message = `PersistentVolumeClaim "${name}" could not be made larger: ${failed.message ?? failed.reason ?? ""}`;
    return no("BackendReachable", "VolumeResizeFailed", message);
  }
  if (phase === "Bound" || phase === undefined) return undefined;
  const message =
    phase === "Lost"
      ? `PersistentVolumeClaim "${name}" has lost its volume`
      : `PersistentVolumeClaim "${name}" waits for a volume: see its events, and whether the cluster has a default StorageClass that can provide one`;
  return no("BackendReachable", "VolumePending", message);
}
