/** Stores one object in one piece: verified, sealed and written as it comes, visible with its commit or not at all. */
import { admit } from "../buckets/buckets.ts";
import type { Body, Call, ChecksumAlgorithm } from "../call.ts";
import type { Draft, Entry, ObjectRef } from "../storage/storage.ts";
import { planEncryption } from "./encryption.ts";
import { commitHeld } from "./find.ts";
import { keptDigests, type Taken, takeBody } from "./intake.ts";
import { type Measured, newInfo, objectSource } from "./records.ts";
import type { Room } from "./room.ts";
import type { ObjectInfo, PutWanted } from "./store.ts";

export async function putObject(
  room: Room,
  call: Call,
  ref: ObjectRef,
  body: Body,
  wanted: PutWanted,
): Promise<ObjectInfo> {
  const bucket = admit(call, ref.bucket, "WriteObject", room.nowMs());
  const encryption = await planEncryption(room, call, bucket, wanted.encryption);
  let measured: Measured | undefined;
  let draft: Draft<Entry> | undefined;
  const source = objectSource(room, ref, encryption, wanted, () => known(measured));
  try {
    await commitHeld(room, call, bucket, ref, wanted.conditions, async (expect) => {
      draft ??= room.storage.draft(ref, source, call.signal);
      measured ??= await take(draft);
      return draft.commit(expect);
    });
  } catch (error) {
    await draft?.discard();
    throw error;
  }
  return newInfo(ref, encryption, wanted, known(measured));

  async function take(open: Draft<Entry>): Promise<Measured> {
    const asked = wanted.checksum?.algorithm;
    const taken = await takeBody(call, body, encryption, 0, asked === undefined ? [] : [asked], open);
    return measure(taken, body, asked, encryption.shown === "AES256", room.nowMs());
  }
}

function measure(
  taken: Taken,
  body: Body,
  asked: ChecksumAlgorithm | undefined,
  md5: boolean,
  modifiedMs: number,
): Measured {
  const { head, sizeBytes, etag } = taken;
  const checksums = [...keptDigests(taken, body, asked)].map(([algorithm, value]) => ({
    algorithm,
    composite: false,
    value,
  }));
  const entries = [{ head, plainBytes: sizeBytes, etag, checksum: new Uint8Array(0) }];
  return {
    sizeBytes,
    etag: { bytes: etag, parts: md5 ? 0 : 1 },
    checksums,
    modifiedMs,
    table: { checksumAlgorithm: undefined, entries },
    inOnePiece: true,
  };
}

function known(measured: Measured | undefined): Measured {
  if (measured === undefined) throw new Error("the storage asked for an envelope before the body was whole");
  return measured;
}
