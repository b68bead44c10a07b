/** Makes a bucket key and its record, and opens one that exists. */
import { createSecretKey } from "node:crypto";
import { freshBytes } from "../../envelope/random.ts";
import { checkBucketKey, encodeBucketKeyRecord } from "../../envelope/record.ts";
import { bucketKeyContext } from "../../envelope/wrapcontext.ts";
import type { Audit } from "../audit/audit.ts";
import type { Call } from "../call.ts";
import type { BucketEntry } from "../config/config.ts";
import { Failure, failureOf } from "../failure.ts";
import type { BucketKey, BucketKeysNeeds } from "./port.ts";
import { type FoundRecord, recordPath } from "./records.ts";
import { askInTurn, clientOf, type Source, sourcesFor, writingSource } from "./sources.ts";

const ID_BYTES = 16;

/** A key that a record holds, with the plain bytes that a rewrap needs; whoever gets it zeroes them. */
export interface Unwrapped {
  readonly plain: Uint8Array;
  readonly source: Source;
}

export function contextOf(found: FoundRecord, bucket: BucketEntry): Readonly<Record<string, string>> {
  const { storeId, id } = found.record;
  return bucketKeyContext(storeId, bucket.name, id, Object.entries(bucket.context));
}

/** Unwraps by a source that the configuration allows, and checks that the record is the one made for the key. */
export async function unwrapRecord(call: Call, bucket: BucketEntry, found: FoundRecord): Promise<Unwrapped> {
  const doing = `unwrap the bucket key of "${bucket.name}"`;
  const { wrapped } = found.record;
  const context = contextOf(found, bucket);
  const sources = sourcesFor(call.snapshot, bucket, wrapped);
  const { result: plain, source } = await askInTurn(call, sources, doing, (kms) =>
    kms.unwrap(wrapped, context, call.signal),
  );
  try {
    checkBucketKey(found.document.bytes, plain);
  } catch (error) {
    plain.fill(0);
    throw failureOf(error, doing);
  }
  return { plain, source };
}

export async function openRecord(
  call: Call,
  bucket: BucketEntry,
  found: FoundRecord,
  audit: Audit,
): Promise<BucketKey> {
  const { record } = found;
  const event = {
    operation: "UnwrapBucketKey",
    kind: "key",
    bucket: bucket.name,
    kmsKeyId: record.wrapped.kmsKeyId,
    keyVersion: record.wrapped.version,
  } as const;
  let unwrapped: Unwrapped;
  try {
    unwrapped = await unwrapRecord(call, bucket, found);
  } catch (error) {
    const failure = failureOf(error, `unwrap the bucket key of "${bucket.name}"`);
    await audit(call, { ...event, failure });
    throw failure;
  }
  const { plain, source } = unwrapped;
  const key = createSecretKey(plain);
  plain.fill(0);
  await audit(call, { ...event, provider: source.provider.name });
  return {
    id: Uint8Array.from(record.id),
    key,
    epoch: record.epoch,
    provider: source.provider.name,
    kmsKeyId: record.wrapped.kmsKeyId,
  };
}

/** A new key of that epoch, durable when it resolves. The bucket's own document must be there before. */
export async function makeRecord(
  call: Call,
  bucket: BucketEntry,
  epoch: number,
  needs: BucketKeysNeeds,
): Promise<BucketKey> {
  const source = writingSource(call.snapshot, bucket);
  const event = {
    operation: "GenerateBucketKey",
    kind: "key",
    bucket: bucket.name,
    provider: source.provider.name,
    kmsKeyId: source.provider.kmsKeyId,
  } as const;
  try {
    const { key, version } = await generate(call, bucket, epoch, needs, source);
    await needs.audit(call, { ...event, keyVersion: version });
    return key;
  } catch (error) {
    const failure = failureOf(error, `make a bucket key for "${bucket.name}"`);
    await needs.audit(call, { ...event, failure });
    throw failure;
  }
}

async function generate(
  call: Call,
  bucket: BucketEntry,
  epoch: number,
  needs: BucketKeysNeeds,
  source: Source,
): Promise<{ readonly key: BucketKey; readonly version: string }> {
  const { storage, storeId } = needs;
  const id = freshBytes(ID_BYTES);
  const spec = Object.entries(bucket.context);
  const context = bucketKeyContext(storeId, bucket.name, id, spec);
  const { plain, wrapped } = await clientOf(source, call.snapshot).generate(context, call.signal);
  const { name: provider, kmsKeyId } = source.provider;
  try {
    if (wrapped.kmsKeyId !== kmsKeyId) {
      throw new Failure("InternalError", `KMS provider "${provider}" wrapped under another KMS key than it should`);
    }
    const createdMs = needs.nowMs();
    const record = { id, storeId, epoch, createdMs, bucket: bucket.name, context: spec, wrapped };
    const path = recordPath(bucket.name, id);
    await storage.putDocument(path, encodeBucketKeyRecord(record, plain), "absent", call.signal);
    return { key: { id, key: createSecretKey(plain), epoch, provider, kmsKeyId }, version: wrapped.version };
  } finally {
    plain.fill(0);
  }
}
