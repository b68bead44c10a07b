import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Entry } from "../storage/storage.ts";
import { decodeRun, encodeRun, keysOfRun, runAt } from "./runs.ts";
import type { ListedObject } from "./store.ts";

/** Bytes that look like an envelope's: the last one decides whether a run ends there. */
function entry(name: string, more: Partial<Entry> = {}): Entry {
  const ref = { bucket: "photos", name };
  const envelope = new Uint8Array([1, 2, 3, 5]);
  return { ref, version: "", tag: "t", marker: false, storedBytes: 81, modifiedMs: 1, envelope, ...more };
}

/** Names in order, each with bytes of its own that are the same wherever it stands. */
function entries(from: number, to: number): Entry[] {
  return Array.from({ length: to - from }, (_, at) => {
    const number = from + at;
    return entry(`n${number}`, { envelope: new Uint8Array([number >> 8, number & 255, (number * 167 + 13) % 256]) });
  });
}

function cutsOf(all: readonly Entry[]): { readonly last: string; readonly digest: string | undefined }[] {
  const cuts = [];
  for (let start = 0; start < all.length; ) {
    const { end, digest } = runAt("photos", all, start);
    cuts.push({ last: all[end - 1]?.ref.name ?? "", digest });
    start = end;
  }
  return cuts;
}

describe("a run", () => {
  test("ends where the bytes of an entry say so, whichever entry a page begins with", () => {
    const whole = cutsOf(entries(0, 1000));
    const later = cutsOf(entries(50, 1000));
    expect(whole.length).toBeGreaterThan(4);
    expect(later.slice(1)).toEqual(whole.slice(-later.length + 1));
  });

  test("is another only where an entry was added", () => {
    const added = entries(0, 1000).toSpliced(500, 0, entry("n499a"));
    const before = new Set(cutsOf(entries(0, 1000)).map(({ digest }) => digest));
    expect(cutsOf(added).filter(({ digest }) => !before.has(digest))).toHaveLength(1);
  });

  test("has 256 names at most, however their bytes are", () => {
    const all = Array.from({ length: 600 }, (_, at) => entry(`n${at}`));
    expect(cutsOf(all).map(({ last }) => last)).toEqual(["n255", "n511", "n599"]);
  });

  test("ends before it is too long to be hashed, and what is too long alone is not remembered", () => {
    const large = entry("large", { envelope: new Uint8Array(200_000).fill(5) });
    const larger = entry("larger", { envelope: new Uint8Array(300_000).fill(5) });
    const cuts = cutsOf([entry("a"), large, large, larger, entry("b")]);
    expect(cuts.map(({ last, digest }) => [last, digest !== undefined])).toEqual([
      ["large", true],
      ["large", true],
      ["larger", false],
      ["b", true],
    ]);
  });

  test("holds no delete marker and nothing without an envelope: each stands alone and is not remembered", () => {
    const cuts = cutsOf([entry("a"), entry("m", { marker: true }), entry("e", { envelope: undefined }), entry("z")]);
    expect(cuts.map(({ last, digest }) => [last, digest !== undefined])).toEqual([
      ["a", true],
      ["m", false],
      ["e", false],
      ["z", true],
    ]);
  });

  const one = () => [entry("a"), entry("b")];
  const others: Readonly<Record<string, readonly Entry[]>> = {
    "another name": [entry("a"), entry("c")],
    "the same letters in other names": [entry("ab"), entry("")],
    "another version": [entry("a"), entry("b", { version: "1" })],
    "another stored length": [entry("a", { storedBytes: 82 }), entry("b")],
    "another envelope": [entry("a"), entry("b", { envelope: new Uint8Array([1, 2, 4, 5]) })],
    "envelopes that are cut elsewhere": [
      entry("a", { envelope: new Uint8Array([1, 2, 3]) }),
      entry("b", { envelope: new Uint8Array([5, 1, 2, 3, 5]) }),
    ],
    "a name more": [...one(), entry("c")],
    "a name less": [entry("a")],
    "the other order": one().reverse(),
    "a name that is no text, where U+FFFD was one": [entry("a"), entry("\ud800")],
  };
  test.each(Object.entries(others))("with %s has another digest", (_what, all) => {
    const digest = runAt("photos", one(), 0).digest;
    expect(digest).toHaveLength(32);
    expect(runAt("photos", one(), 0).digest).toBe(digest);
    expect(runAt("photos", all, 0).digest).not.toBe(digest);
    expect(runAt("photos", [entry("a"), entry("\ufffd")], 0).digest).not.toBe(runAt("photos", all, 0).digest);
  });

  test("of another bucket has another digest", () => {
    expect(runAt("music", one(), 0).digest).not.toBe(runAt("photos", one(), 0).digest);
  });
});

const checksum = fc.record({
  algorithm: fc.constantFrom("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256", "SHA512", "MD5"),
  kind: fc.constantFrom("whole", "composite"),
});
const listed: fc.Arbitrary<Omit<ListedObject, "ref">> = fc.record({
  sizeBytes: fc.oneof(fc.nat(300), fc.maxSafeNat()),
  etag: fc
    .tuple(
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
      fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 65_535 })),
    )
    .map(([bytes, parts]) => `${Buffer.from(bytes).toString("hex")}${parts === 0 ? "" : `-${parts}`}`),
  modifiedMs: fc.oneof(
    fc.nat(1000),
    fc.maxSafeNat().map((ms) => ms % 2 ** 50),
  ),
  checksums: fc.array(checksum, { maxLength: 8 }),
});

describe("what a listing says of a run", () => {
  test("comes out as it went in, with the keys that it was opened with", () => {
    const bytes16 = fc.uint8Array({ minLength: 16, maxLength: 16 });
    const keys = fc.array(fc.record({ id: bytes16, fingerprint: bytes16 }), { maxLength: 8 });
    fc.assert(
      fc.property(keys, fc.array(listed, { maxLength: 256 }), fc.nat(3), (marks, infos, skipped) => {
        const all = Array.from({ length: skipped + infos.length }, (_, at) => entry(`n${at}`));
        const objects = infos.map((info, at) => ({ ref: (all[skipped + at] as Entry).ref, ...info }));
        const run = encodeRun(marks, objects) as Buffer;
        const decoded: ListedObject[] = [];
        decodeRun(run, all, skipped, all.length, decoded);
        expect(decoded).toEqual(objects);
        expect(keysOfRun(run).map(({ id, fingerprint }) => [[...id], [...fingerprint]])).toEqual(
          marks.map(({ id, fingerprint }) => [[...id], [...fingerprint]]),
        );
      }),
    );
  });

  const small = {
    ref: { bucket: "photos", name: "a" },
    sizeBytes: 70_000,
    etag: `${"ab".repeat(16)}-1`,
    checksums: [],
  };

  test("takes less than 30 bytes a name where all were stored within an hour", () => {
    const objects = Array.from({ length: 100 }, (_, at) => ({
      ...small,
      modifiedMs: 1_764_000_000_000 + ((at * 7919) % 3600) * 1000,
    }));
    const key = { id: new Uint8Array(16), fingerprint: new Uint8Array(16) };
    expect(encodeRun([key], objects)?.length).toBeLessThan(100 * 30);
  });

  const tooMuch: Readonly<Record<string, [number, ListedObject[]]>> = {
    "nine keys": [9, []],
    "257 names": [1, Array.from({ length: 257 }, () => ({ ...small, modifiedMs: 1 }))],
    "a time in thirty thousand years": [1, [{ ...small, modifiedMs: 2 ** 50 + 1 }]],
    "nine checksums": [
      1,
      [{ ...small, modifiedMs: 1, checksums: Array.from({ length: 9 }, () => ({ algorithm: "MD5", kind: "whole" })) }],
    ],
  };
  test.each(Object.entries(tooMuch))("is not remembered with %s", (_what, [keyCount, objects]) => {
    const key = { id: new Uint8Array(16), fingerprint: new Uint8Array(16) };
    expect(
      encodeRun(
        Array.from({ length: keyCount }, () => key),
        objects,
      ),
    ).toBeUndefined();
  });
});
