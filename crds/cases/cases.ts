// The table of accepted and refused objects of all kinds.

import type { KindName } from "../reasons.ts";
import type { Cases } from "./case.ts";
import { ENCRYPTED_BUCKET_CASES } from "./encryptedbucket.ts";
import { ENCRYPTED_STORE_CASES } from "./encryptedstore.ts";
import { KMS_PROVIDER_CASES } from "./kmsprovider.ts";

export const CASES: Readonly<Record<KindName, Cases>> = {
  KmsProvider: KMS_PROVIDER_CASES,
  EncryptedBucket: ENCRYPTED_BUCKET_CASES,
  EncryptedStore: ENCRYPTED_STORE_CASES,
};
