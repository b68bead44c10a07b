/** What a person wants of a data plane that runs alone, checked and with every default in it. */
import type { KmsOptionsJson } from "../../kms/options.ts";
import type { Algorithm, BucketEntry, Permission, Settings } from "./config.ts";

export interface StandaloneWish {
  /** Where it stands, as a person would type it: answers name it as what rules. */
  readonly resource: string;
  readonly region: string;
  readonly hostNames: readonly string[];
  readonly settings: Settings;
  /** The one that writes. */
  readonly provider: "local" | "vault";
  /** There whenever Vault can be asked: to write, or to open what it wrapped before. */
  readonly vault: VaultJson | undefined;
  readonly timeoutMs: number;
  readonly attemptsMax: number | undefined;
  readonly cache: { readonly ttlMs: number; readonly maxEntries: number; readonly negativeTtlMs: number };
  readonly rules: WishedRules;
  readonly admin: WishedCredential;
  readonly buckets: readonly WishedBucket[];
  /** What was said and changes nothing: for the log. */
  readonly notices: readonly string[];
}

export type VaultJson = Extract<KmsOptionsJson, { readonly type: "Vault" }>;

export interface WishedRules {
  readonly algorithm: Algorithm;
  readonly keyMode: BucketEntry["keyMode"];
  readonly chunkBytes: BucketEntry["chunkBytes"];
}

/** Without a pair of its own it gets one that is made once. */
export interface WishedCredential {
  readonly entry: string;
  readonly pair: { readonly accessKeyId: string; readonly secret: string } | undefined;
  readonly token: string | undefined;
  /** Where they stand, or would stand. */
  readonly places: { readonly accessKey: string; readonly token: string };
  readonly permissions: readonly Permission[];
  readonly keys: boolean;
}

export interface WishedBucket {
  readonly name: string;
  readonly rules: WishedRules;
  readonly context: Readonly<Record<string, string>>;
  /** Where the context stands, or would stand. */
  readonly contextPlace: string;
  readonly access: readonly WishedCredential[];
}
