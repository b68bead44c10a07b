// Our three kinds as a user writes them, for tests that need many.

import { API_VERSION } from "../../crds/names.ts";

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: object;
}

const APPLICATION = [{ name: "app", permissions: ["Read", "Write", "List", "Delete"] }];

/** With one access entry "app", under the KmsProvider "local"; `spec` goes over that. */
export function bucket(name: string, spec: object = {}): Manifest {
  const encryption = { kmsProviderRef: { name: "local" } };
  return manifest("EncryptedBucket", name, { encryption, access: APPLICATION, ...spec });
}

/** Under that KmsProvider. */
export function bucketUnder(provider: string, name: string, spec: object = {}): Manifest {
  return bucket(name, { encryption: { kmsProviderRef: { name: provider } }, ...spec });
}

export function localProvider(name: string, spec: object = {}): Manifest {
  return manifest("KmsProvider", name, { type: "Local", ...spec });
}

/** Of a Vault that logs in as `auth` says. */
export function vaultProvider(name: string, auth: object, vault: object = {}): Manifest {
  const common = { address: "https://vault.test.invalid:8200", keyName: "photos", auth };
  return manifest("KmsProvider", name, { type: "Vault", vault: { ...common, ...vault } });
}

export function store(name: string, spec: object = {}): Manifest {
  return manifest("EncryptedStore", name, { backend: { type: "Filesystem" }, ...spec });
}

function manifest(kind: string, name: string, spec: object): Manifest {
  return { apiVersion: API_VERSION, kind, metadata: { name }, spec };
}
