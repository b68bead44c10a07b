// What a KmsProvider makes: the Secret of a key ring, whose bytes are the ring's own, and the ServiceAccount that the
// operator logs in to Vault as. Pure.

import type { KmsProvider } from "../../crds/kmsprovider.ts";
import { FIELD_MANAGER, KMS_SERVICE_ACCOUNT, keyRingName, LABELS, RING_KEY } from "../../crds/names.ts";
import { labelsOf, MANAGED_BY, type Manifest } from "../manifest.ts";

export interface RingSecret extends Manifest {
  readonly type: "Opaque";
  readonly data: Record<string, string>;
}

/** Without an owner: it holds the only copy of a key, and stays when the resource goes. */
export function ringSecret(provider: KmsProvider, ringJson: string): RingSecret {
  const { namespace = "", name } = provider.metadata;
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { namespace, name: keyRingName(name), labels: labelsOf(name, "key-ring") },
    type: "Opaque",
    data: { [RING_KEY]: Buffer.from(ringJson, "utf8").toString("base64") },
  };
}

/** One for all providers of a namespace, so it is no single one's: it has no owner, and stays. It has no rights. */
export function loginAccount(namespace: string): Manifest {
  return {
    apiVersion: "v1",
    kind: "ServiceAccount",
    metadata: { namespace, name: KMS_SERVICE_ACCOUNT, labels: labelsOf(KMS_SERVICE_ACCOUNT, "kms-login") },
    automountServiceAccountToken: false,
  } as Manifest;
}

/** What of a ServiceAccount is looked at. A watch does not bring its managed fields. */
interface AccountLooked {
  readonly metadata: {
    readonly labels?: Readonly<Record<string, string>>;
    readonly managedFields?: readonly { readonly manager?: string }[];
    readonly ownerReferences?: readonly object[];
  };
}

/** Whether it is the one that was made here. Somebody may have taken its labels: that we set one of its fields is still
 *  written there. One with an owner is a store's, of a store that is called "kms". */
export function isOurLogin({ metadata }: AccountLooked): boolean {
  const { labels = {}, managedFields = [], ownerReferences = [] } = metadata;
  if (ownerReferences.length > 0) return false;
  return labels[LABELS.managedBy] === MANAGED_BY || managedFields.some(({ manager }) => manager === FIELD_MANAGER);
}
