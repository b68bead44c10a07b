/**
 * The object that a copy is made of: looked at with the rights of the caller, judged by the conditions that the request
 * puts on it, and held to what was found until the copy is done.
 */
import type { Body, Call } from "../call.ts";
import type { BucketEntry } from "../config/config.ts";
import { Failure } from "../failure.ts";
import { type Entry, type ObjectRef, StorageError } from "../storage/storage.ts";
import { type OpenedBody, openBody } from "./bodies.ts";
import { judgeRead } from "./conditions.ts";
import { findStored, isChanged } from "./find.ts";
import type { OpenedObject } from "./opened.ts";
import { readPlaintext } from "./reading.ts";
import { infoOf, openObject } from "./records.ts";
import type { Room } from "./room.ts";
import type { ObjectInfo, ReadConditions } from "./store.ts";

export interface Source {
  readonly bucket: BucketEntry;
  /** As its envelope says; what stands behind the body is in `body` and `info` alone. */
  readonly object: OpenedObject;
  readonly body: OpenedBody;
  readonly info: ObjectInfo;
}

/** How often a copy is begun again whose source was replaced under it. */
const ATTEMPTS_MAX = 8;

/** Between the look at the source and the end of the copy it became another object, or none. */
class SourceChanged extends Error {}

/**
 * Runs `work` on what is there; if that is replaced meanwhile, on what is there then, in that queue. Reading was allowed
 * already.
 */
export async function withSource<Result>(
  room: Room,
  call: Call,
  bucket: BucketEntry,
  ref: ObjectRef,
  conditions: ReadConditions,
  queue: string,
  work: (source: Source) => Promise<Result>,
): Promise<Result> {
  const isReplaced = (error: unknown) => error instanceof SourceChanged;
  try {
    return await room.queues.run(queue, ATTEMPTS_MAX, isReplaced, async () =>
      work(await openSource(room, call, bucket, ref, conditions)),
    );
  } catch (cause) {
    if (!isReplaced(cause)) throw cause;
    throw new StorageError("changed", "the source of a copy was replaced again and again", { cause });
  }
}

async function openSource(
  room: Room,
  call: Call,
  bucket: BucketEntry,
  ref: ObjectRef,
  conditions: ReadConditions,
): Promise<Source> {
  const entry = await findStored(room, call, bucket, ref);
  const object = await openObject(room, call, bucket, entry);
  return holdingSource(room, call, entry, async () => {
    const body = await openBody(room, call, bucket, object);
    const info = infoOf(ref, body.object.contents, body.object.bucketKey);
    judgeSource(conditions, info);
    return { bucket, object, body, info };
  });
}

/** "changed" is told apart: by the source, which begins the copy again, or by what is written. */
export async function holdingSource<Result>(
  room: Room,
  call: Call,
  entry: Entry,
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (!isChanged(error)) throw error;
    const now = await room.storage.find(entry.ref, call.signal);
    if (now?.tag === entry.tag) throw error;
    throw new SourceChanged("the source of the copy was replaced", { cause: error });
  }
}

/** Plaintext [fromByte, toByte) of the source, as a body to be stored. Of its own accord it promises nothing. */
export function bodyOfSource(room: Room, call: Call, { body, object }: Source, fromByte: number, toByte: number): Body {
  return {
    plainBytes: toByte - fromByte,
    announced: [],
    promised: () => new Map(),
    async *[Symbol.asyncIterator]() {
      try {
        for await (const slices of readPlaintext(room.storage, body, fromByte, toByte, call.signal)) yield* slices;
      } catch (error) {
        if (!isChanged(error)) throw error;
        throw new SourceChanged(`"${object.entry.ref.name}" was replaced before it was read`, { cause: error });
      }
    },
  };
}

/** Of a source, what does not hold is always PreconditionFailed: there is nothing that a client could have already. */
function judgeSource(conditions: ReadConditions, info: ObjectInfo): void {
  try {
    judgeRead(conditions, info);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    throw new Failure("PreconditionFailed", "A condition on the source of the copy does not hold", { cause: error });
  }
}
