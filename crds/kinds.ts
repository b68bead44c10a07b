// The three kinds by name.

import { ENCRYPTED_BUCKET, type EncryptedBucket } from "./encryptedbucket.ts";
import { ENCRYPTED_STORE, type EncryptedStore } from "./encryptedstore.ts";
import { KMS_PROVIDER, type KmsProvider } from "./kmsprovider.ts";

export const KINDS = {
  KmsProvider: KMS_PROVIDER,
  EncryptedBucket: ENCRYPTED_BUCKET,
  EncryptedStore: ENCRYPTED_STORE,
} as const;

/** Any resource of the API. */
export type AnyResource = KmsProvider | EncryptedBucket | EncryptedStore;
