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
interface Decision {
  readonly mode: "plaintext" | "bucket" | "object";
  readonly shown: StoredShown;
}

/** Asks keys/ for what the decision needs: no KMS call in mode `bucket` while the bucket key is cached. */
export async function planEncryption(
  room: Room,
  call: Call,
  bucket: BucketEntry,
  wanted: EncryptionWanted,
): Promise<Encryption> {
  checkWanted(bucket, writingKmsKeyId(call, bucket), wanted);
  const shown = wanted.shown ?? (await room.shownByDefault(call, bucket));
  const decision = decide(bucket, wanted, shown);
  const bucketKey = await room.keys.current(call, bucket);
  const dataKey = freshBytes(32);
  const bodyId = freshBytes(16);
  const { context } = wanted;
  const sealedKey = await sealKey();
  return { bucketKey, bodyId, dataKey, sealedKey, shape: shapeOf(bucket, decision), shown: decision.shown, context };

  async function sealKey(): Promise<SealedKey> {
    if (decision.mode !== "object") return { mode: decision.mode, dataKey };
    const request = Object.fromEntries(context ?? []);
    return { mode: "object", wrapped: await room.keys.wrapDataKey(call, bucket, dataKey, bodyId, request) };
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

function decide(bucket: BucketEntry, wanted: EncryptionWanted, shown: "AES256" | "aws:kms" | "none"): Decision {
  if (shown === "none") {
    if (bucket.allowPlaintext) return { mode: "plaintext", shown: "nothing" };
    return { mode: bucket.keyMode, shown: "aws:kms" };
  }
  if (wanted.context !== undefined) return { mode: "object", shown };
  if (wanted.bucketKeyEnabled !== undefined) return { mode: wanted.bucketKeyEnabled ? "bucket" : "object", shown };
  return { mode: bucket.keyMode, shown };
}

function shapeOf(bucket: BucketEntry, { mode }: Decision): PartShape {
  if (mode === "plaintext") return undefined;
  const suite = bucket.algorithm === "Auto" ? fasterSuite() : bucket.algorithm;
  return { suite, chunkLog2: Math.log2(bucket.chunkBytes) };
}
