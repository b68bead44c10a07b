/**
 * How a body is encrypted: decided before its first byte, from the request, the bucket's setting and its configuration.
 * Which keys there are is keys/, what the bytes look like is envelope/.
 */
import type { PartShape, SealedKey, Shown as StoredShown } from "../../envelope/envelope.ts";
import type { Key } from "../../envelope/head.ts";
import { freshBytes } from "../../envelope/random.ts";
import type { Call } from "../call.ts";
import type { BucketEntry } from "../config/config.ts";
import { Failure } from "../failure.ts";
import type { BucketKey } from "../keys/keys.ts";
import type { Room } from "./room.ts";
import type { EncryptionWanted } from "./store.ts";
import { fasterSuite } from "./suite.ts";

/** Fixed for a body, and for all parts of an upload. */
export interface Encryption {
  /** What envelopes are sealed under. */
  readonly bucketKey: BucketKey;
  readonly bodyId: Uint8Array;
  readonly dataKey: Key;
  readonly sealedKey: SealedKey;
  /** undefined: the body is stored as it is. */
  readonly shape: PartShape;
  readonly shown: StoredShown;
  readonly context: ReadonlyMap<string, string> | undefined;
}

/** What was decided, before any key is asked for. */
export interface Decision {
  readonly mode: "plaintext" | "bucket" | "object";
  readonly shown: StoredShown;
  readonly shape: PartShape;
  /** Whichever suite is faster here: a body that is sealed already may keep its own. */
  readonly anySuite: boolean;
  readonly context: ReadonlyMap<string, string> | undefined;
}

/** For a new body. No KMS call in mode `bucket` while the bucket key is cached. */
export async function planEncryption(
  room: Room,
  call: Call,
  bucket: BucketEntry,
  wanted: EncryptionWanted,
): Promise<Encryption> {
  const decision = await decideEncryption(room, call, bucket, wanted);
  return encryptUnder(room, call, bucket, decision, freshBytes(16), freshBytes(32));
}

/** By the first that speaks: the request, the bucket's setting, its configuration. Asks for no key. */
export async function decideEncryption(
  room: Room,
  call: Call,
  bucket: BucketEntry,
  wanted: EncryptionWanted,
): Promise<Decision> {
  checkWanted(bucket, writingKmsKeyId(call, bucket), wanted);
  const shown = wanted.shown ?? (await room.shownByDefault(call, bucket));
  const { mode, shown: stored } = decide(bucket, wanted, shown);
  const shape = shapeOf(bucket, mode);
  return { mode, shown: stored, shape, anySuite: bucket.algorithm === "Auto", context: wanted.context };
}

/** A body's data key, new or that of a body which stays, held as was decided. */
export async function encryptUnder(
  room: Room,
  call: Call,
  bucket: BucketEntry,
  decision: Decision,
  bodyId: Uint8Array,
  dataKey: Uint8Array,
): Promise<Encryption> {
  const { mode, shape, shown, context } = decision;
  const bucketKey = await room.keys.current(call, bucket);
  const sealedKey = await sealKey();
  return { bucketKey, bodyId, dataKey, sealedKey, shape, shown, context };

  async function sealKey(): Promise<SealedKey> {
    if (mode !== "object") return { mode, dataKey };
    const request = Object.fromEntries(context ?? []);
    return { mode, wrapped: await room.keys.wrapDataKey(call, bucket, dataKey, bodyId, request) };
  }
}

/** The KMS key that the bucket writes with, as requests and answers name it. */
function writingKmsKeyId(call: Call, bucket: BucketEntry): string | undefined {
  return call.snapshot.providers.get(bucket.keys[0]?.provider ?? "")?.kmsKeyId;
}

function checkWanted(bucket: BucketEntry, kmsKeyId: string | undefined, wanted: EncryptionWanted): void {
  if (wanted.shown !== "aws:kms" && (wanted.kmsKeyId !== undefined || wanted.context !== undefined)) {
    throw new Failure("InvalidArgument", "A KMS key id or an encryption context needs aws:kms");
  }
  if (wanted.kmsKeyId !== undefined && wanted.kmsKeyId !== kmsKeyId) {
    throw new Failure("KMS.NotFoundException", "The KMS key is not the one that this bucket uses");
  }
  for (const name of wanted.context?.keys() ?? []) {
    if (name.startsWith("coffer:") || Object.hasOwn(bucket.context, name)) {
      throw new Failure("InvalidArgument", "The encryption context has a name that is taken");
    }
  }
}

function decide(
  bucket: BucketEntry,
  wanted: EncryptionWanted,
  shown: "AES256" | "aws:kms" | "none",
): Pick<Decision, "mode" | "shown"> {
  if (shown === "none") {
    if (bucket.allowPlaintext) return { mode: "plaintext", shown: "nothing" };
    return { mode: bucket.keyMode, shown: "aws:kms" };
  }
  if (wanted.context !== undefined) return { mode: "object", shown };
  if (wanted.bucketKeyEnabled !== undefined) return { mode: wanted.bucketKeyEnabled ? "bucket" : "object", shown };
  return { mode: bucket.keyMode, shown };
}

function shapeOf(bucket: BucketEntry, mode: Decision["mode"]): PartShape {
  if (mode === "plaintext") return undefined;
  const suite = bucket.algorithm === "Auto" ? fasterSuite() : bucket.algorithm;
  return { suite, chunkLog2: Math.log2(bucket.chunkBytes) };
}
