// The names that the API fixes: group, labels, annotations, finalizers, Secret keys, ports, and the names of the
// objects that are made for a resource. Who makes those objects decides what is in them.

export const GROUP = "coffer.dev";
export const VERSION = "v1alpha1";
export const API_VERSION = `${GROUP}/${VERSION}` as const;

/** The category that lists all three kinds: `kubectl get coffer`. */
export const CATEGORY = "coffer";

/** Field manager of every server-side apply. */
export const FIELD_MANAGER = "coffer";

/** Labels on objects that are owned, or kept, for a resource. */
export const LABELS = {
  name: "app.kubernetes.io/name",
  instance: "app.kubernetes.io/instance",
  component: "app.kubernetes.io/component",
  managedBy: "app.kubernetes.io/managed-by",
  version: "app.kubernetes.io/version",
} as const;

export const ANNOTATIONS = {
  /** On a resource: any new value forces a pass; `status.lastHandledReconcileAt` repeats it. */
  reconcileRequestedAt: "coffer.dev/reconcile-requested-at",
  /** On a store's pods: makes the kubelet refresh the configuration volume at once. */
  configRevision: "coffer.dev/config-revision",
} as const;

export const FINALIZERS = {
  /** On a KmsProvider or EncryptedStore while something names it. */
  inUse: "coffer.dev/in-use",
  /** On an EncryptedBucket with a deletion policy that deletes. */
  deleteBucket: "coffer.dev/delete-bucket",
} as const;

/** Keys of an access Secret: what `envFrom` gives an application, and the lines of a stand-alone `.env` file. */
export const ACCESS_KEYS = {
  s3Endpoint: "AWS_ENDPOINT_URL_S3",
  region: "AWS_REGION",
  /** The same again: boto3 reads no other name. */
  defaultRegion: "AWS_DEFAULT_REGION",
  accessKeyId: "AWS_ACCESS_KEY_ID",
  secretAccessKey: "AWS_SECRET_ACCESS_KEY",
  bucketName: "BUCKET_NAME",
  restUrl: "COFFER_REST_URL",
  token: "COFFER_TOKEN",
} as const;

/** boto3 presigns with Signature V2 for us-east-1 and other old regions, so the region has a name of its own. */
export const REGION = "local";

/** The key of a key-ring Secret, and the file name of a key ring that stands alone. */
export const RING_KEY = "ring.json";

export const PORTS = { s3: 9000, rest: 8080, admin: 9090 } as const;

/** The audience of every token that logs in to Vault; the Vault roles state it. */
export const VAULT_AUDIENCE = "vault";

/** The ServiceAccount that the operator logs in to Vault with, unless the provider names another. */
export const KMS_SERVICE_ACCOUNT = "coffer-kms";

/** The store of every EncryptedBucket that names none. */
export const DEFAULT_STORE = "default";

/** Name of the StatefulSet, Service, ServiceAccount, NetworkPolicy, PodDisruptionBudget and volume claim of a store. */
export function storeObjectName(store: string): string {
  return `coffer-${store}`;
}

/** Name of the Secret that holds the configuration of a store's pods. */
export function storeConfigName(store: string): string {
  return `coffer-${store}-config`;
}

/** Name of the Secret that holds the key ring of a Local provider which names none. */
export function keyRingName(provider: string): string {
  return `${provider}-key-ring`;
}

/** Name of the access Secret of one entry of an EncryptedBucket, or of an EncryptedStore's selfService. */
export function accessSecretName(resource: string, entry: { name: string; secretName?: string }): string {
  return entry.secretName ?? `${resource}-${entry.name}`;
}

/** Name of the file that holds the same keys where no cluster does. */
export function accessFileName(resource: string, entry: string): string {
  return `${resource}-${entry}.env`;
}
