import { expect, test } from "vitest";
import { localKey } from "../../kms/contract/localkey.ts";
import type { Entry, EnvelopeSource, Storage } from "../storage/storage.ts";
import {
  bodyOf,
  callOf,
  codeOf,
  createWorld,
  getWanted,
  PHOTO,
  plainBytes,
  putWanted,
  read,
  type World,
} from "./contract/world.ts";

/** As a storage that must send the envelope before the body, and counts what is behind the body to its length. */
function envelopeFirst(storage: Storage): Storage {
  const tails = new Map<string, number>();
  const early = (source: EnvelopeSource): EnvelopeSource => ({
    ...source,
    whole: () => ({ envelope: source.early(), tail: source.tail() }),
  });
  const longer = async (entry: Entry): Promise<Entry> => {
    const tailBytes = tails.get(entry.tag) ?? (await tail(entry, new AbortController().signal)).length;
    tails.set(entry.tag, tailBytes);
    return { ...entry, storedBytes: entry.storedBytes + tailBytes };
  };
  const tail = storage.tail.bind(storage);
  const [find, list, draft, complete] = [
    storage.find.bind(storage),
    storage.list.bind(storage),
    storage.draft.bind(storage),
    storage.complete.bind(storage),
  ];
  storage.draft = (ref, source, signal) => draft(ref, early(source), signal);
  storage.complete = async (upload, parts, source, expected, signal) =>
    longer(await complete(upload, parts, early(source), expected, signal));
  storage.find = async (ref, signal) => {
    const entry = await find(ref, signal);
    return entry && longer(entry);
  };
  storage.list = async (bucket, query, signal) => {
    const page = await list(bucket, query, signal);
    return { ...page, items: await Promise.all(page.items.map(longer)) };
  };
  return storage;
}

const create = (): Promise<World> => createWorld(localKey(), { around: envelopeFirst });

test.each([0, 1, 16_384, 70_000])(
  "an envelope that was sent before a body of %i bytes finds the rest behind it",
  async (count) => {
    const world = await create();
    const bytes = plainBytes(count);
    const checksum = { algorithm: "SHA256", kind: "whole" } as const;
    const info = await world.objects.put(callOf(world), PHOTO, bodyOf(bytes), putWanted({ checksum }));
    expect(Buffer.compare(await read(world, PHOTO), bytes)).toBe(0);
    const found = await world.objects.head(callOf(world), PHOTO, getWanted());
    expect([found.info.sizeBytes, found.info.etag]).toEqual([count, info.etag]);
    expect(found.info.checksums).toHaveLength(1);
    const listed = await world.objects.list(callOf(world), "photos", {
      prefix: "",
      delimiter: "",
      after: "",
      limit: 10,
    });
    expect(listed.objects.map(({ sizeBytes, etag }) => [sizeBytes, etag])).toEqual([[count, info.etag]]);
    const wanted = putWanted({ conditions: { ifMatch: info.etag, ifNoneMatch: undefined } });
    expect(await codeOf(world.objects.put(callOf(world), PHOTO, bodyOf(bytes), wanted))).toBe("done");
  },
);

test("so does that of a body in parts", async () => {
  const world = await create();
  const { ref } = await world.objects.createUpload(callOf(world), PHOTO, putWanted());
  const parts: { partNumber: number; etag: string; checksums: Map<"MD5", Uint8Array> }[] = [];
  for (const partNumber of [2, 4]) {
    const body = bodyOf(plainBytes(20_000, partNumber));
    const { etag } = await world.objects.putPart(callOf(world), { ...ref, partNumber }, body);
    parts.push({ partNumber, etag, checksums: new Map() });
  }
  const conditions = { ifMatch: undefined, ifNoneMatch: undefined };
  const wanted = { conditions, sizeBytes: 40_000, checksums: new Map() };
  const info = await world.objects.completeUpload(callOf(world), ref, parts, wanted);
  expect(info).toMatchObject({ sizeBytes: 40_000, partsCount: 2 });
  const whole = Buffer.concat([plainBytes(20_000, 2), plainBytes(20_000, 4)]);
  expect(Buffer.compare(await read(world, PHOTO), whole)).toBe(0);
  const part = await read(world, PHOTO, { kind: "part", partNumber: 4 });
  expect(Buffer.compare(part, plainBytes(20_000, 4))).toBe(0);
});
