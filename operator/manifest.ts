// What every object that the operator makes has: names, labels, an owner. Pure. What an object is for is its kind's
// manifests' to say.

import { LABELS } from "../crds/names.ts";

/** An object as it is sent to the API server. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ManifestMetadata;
}

export interface ManifestMetadata {
  readonly namespace: string;
  readonly name: string;
  readonly labels?: Record<string, string>;
  readonly annotations?: Record<string, string>;
  readonly ownerReferences?: OwnerReference[];
}

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller: true;
  readonly blockOwnerDeletion: boolean;
}

/** A resource that objects are made for. */
export interface Owner {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly uid?: string };
}

/** What an object is, among all that are made. */
export type Component = "data-plane" | "access" | "key-ring" | "kms-login";

/** Value of app.kubernetes.io/managed-by: what we made, and nobody else. */
export const MANAGED_BY = "coffer";

/** None of them changes with a version: selectors are made of them. */
export function labelsOf(instance: string, component: Component): Record<string, string> {
  return {
    [LABELS.name]: "coffer",
    [LABELS.instance]: instance,
    [LABELS.component]: component,
    [LABELS.managedBy]: MANAGED_BY,
  };
}

/** Makes the owner the one controller of an object, which goes when its owner goes. */
export function ownedBy(owner: Owner): OwnerReference[] {
  const { name, uid = "" } = owner.metadata;
  // Blocking would need the right to change finalizers of the owner, and nothing waits for these.
  return [{ apiVersion: owner.apiVersion, kind: owner.kind, name, uid, controller: true, blockOwnerDeletion: false }];
}

/** Whether an object is the owner's to change: it controls it. */
export function isControlledBy(
  object: {
    readonly metadata: {
      readonly ownerReferences?: readonly { readonly uid: string; readonly controller?: boolean }[];
    };
  },
  owner: Owner,
): boolean {
  const controller = object.metadata.ownerReferences?.find((reference) => reference.controller === true);
  return controller !== undefined && controller.uid === owner.metadata.uid;
}

/** Whether an object that outlives its resource is ours: its labels say so. */
export function isLabelledFor(
  object: { readonly metadata: { readonly labels?: Readonly<Record<string, string>> } },
  instance: string,
  component: Component,
): boolean {
  const { labels = {} } = object.metadata;
  return Object.entries(labelsOf(instance, component)).every(([name, value]) => labels[name] === value);
}
