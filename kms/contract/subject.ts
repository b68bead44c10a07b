// What the contract suite needs of an adapter under test: keys of its own, and everything that can be done to them.

import type { KeyAdmin, Kms, KmsCode, ProviderType } from "../kms.ts";
import { KmsError } from "../kms.ts";

/** Makes KMS keys for tests in one KMS. */
export interface KmsSubject {
  readonly provider: ProviderType;
  /** A new KMS key with one version. */
  makeKey(): Promise<TestKey>;
  close(): Promise<void>;
}

export interface TestKey {
  readonly kmsKeyId: string;
  readonly admin: KeyAdmin;
  /** Opened anew: knows every version that there is now. */
  open(): Promise<Kms>;
  /** From now on `admin` finds no key. */
  remove(): Promise<void>;
}

/** Of tests that give up on nothing. */
export const PATIENT = new AbortController().signal;

export const CONTEXT = { "coffer:store": "05".repeat(16), "coffer:bucket": "photos", "coffer:key": "0b".repeat(16) };

/** What a call failed with; a failure of another kind, or none, fails the test. */
export async function codeOf(call: Promise<unknown>): Promise<KmsCode> {
  try {
    await call;
  } catch (error) {
    if (error instanceof KmsError) return error.code;
    throw error;
  }
  throw new Error("The call was expected to fail");
}
