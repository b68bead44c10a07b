/** What keys/ promises to the rooms above it, and what it is given. The types alone, so that its files need not import its door. */
import type { KeyObject } from "node:crypto";
import type { KmsContext, Wrapped } from "../../kms/kms.ts";
import type { Audit } from "../audit/audit.ts";
import type { Call } from "../call.ts";
import type { BucketEntry } from "../config/config.ts";
import type { Snapshot } from "../snapshot.ts";
import type { Storage } from "../storage/storage.ts";

export interface BucketKey {
  /** 16 bytes. */
  readonly id: Uint8Array;
  readonly key: KeyObject;
  readonly epoch: number;
  /** The provider of the configuration that opened it, and the KMS key that its record names. */
  readonly provider: string;
  readonly kmsKeyId: string;
}

/** scanned = rewrapped + current + excluded + conflict + failed. */
export interface Counts {
  readonly scanned: number;
  readonly rewrapped: number;
  readonly current: number;
  readonly excluded: number;
  readonly conflict: number;
  readonly failed: number;
}

export const noCounts: Counts = { scanned: 0, rewrapped: 0, current: 0, excluded: 0, conflict: 0, failed: 0 };

export interface StepDone {
  /** Where the next step goes on; undefined: done. */
  readonly cursor: string | undefined;
  readonly counts: Counts;
  /** Of the records that are under the wanted KMS key now: the versions that their KMS gave. */
  readonly keyVersions: readonly string[];
}

/** Hands out KeyObjects, shared and immutable, never bytes. No promise while cached; concurrent misses share one KMS call. */
export interface BucketKeys {
  /** The key that writers use: made if the bucket has none that it may write with. Throws Failure. */
  current(call: Call, bucket: BucketEntry): BucketKey | Promise<BucketKey>;
  /** By the id that an envelope names. A record that is missing, foreign or does not open is an error, never an absence. */
  byId(call: Call, bucket: BucketEntry, id: Uint8Array): BucketKey | Promise<BucketKey>;
  /** Mode 2: a body's data key wrapped by the KMS key that the bucket writes with. `request` is the request's own context. */
  wrapDataKey(
    call: Call,
    bucket: BucketEntry,
    dataKey: Uint8Array,
    bodyId: Uint8Array,
    request: KmsContext,
  ): Promise<Wrapped>;
  /** Whether the KMS ever wrapped a data key of this bucket: if not, a rewrap need not look at its objects. */
  wrapsDataKeys(call: Call, bucket: BucketEntry): Promise<boolean>;
  /** The caller zeroes what it gets. */
  unwrapDataKey(
    call: Call,
    bucket: BucketEntry,
    wrapped: Wrapped,
    bodyId: Uint8Array,
    request: KmsContext,
  ): Promise<Uint8Array>;
  /** One bounded step of wrapping every record of the bucket anew, under the newest version of its wanted KMS key. */
  rewrap(call: Call, bucket: BucketEntry, cursor: string | undefined): Promise<StepDone>;
  /** Lets go of opened keys whose time has run out, or whose provider this configuration has no more; how many. Without
   *  it they would not be used either, but stay in memory until others take their place. */
  sweep(snapshot: Snapshot): number;
}

export interface BucketKeysNeeds {
  readonly storage: Storage;
  readonly storeId: Uint8Array;
  readonly audit: Audit;
  readonly nowMs: () => number;
}
