import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Entry } from "../storage/storage.ts";
import { createListedMemory, digestOf, type Listable } from "./listed.ts";
import { etagText } from "./records.ts";

function entry(name: string, more: Partial<Entry> = {}): Entry {
  const ref = { bucket: "photos", name };
  const envelope = new Uint8Array([1, 2, 3, 5]);
  return { ref, version: "", tag: "t", marker: false, storedBytes: 81, modifiedMs: 1, envelope, ...more };
}

function known(name: string): string {
  const digest = digestOf(entry(name));
  if (digest === undefined) throw new Error(`${name} has no digest`);
  return digest;
}

const KEY = { id: new Uint8Array(16), fingerprint: new Uint8Array(16) };
const LISTABLE: Listable = {
  sizeBytes: 70_000,
  etag: { bytes: new Uint8Array(16).fill(7), parts: 1 },
  modifiedMs: 1_764_000_000_000,
  checksums: [],
};
const ref = { bucket: "photos", name: "a" };

describe("the digest of an entry", () => {
  const others: Readonly<Record<string, Entry>> = {
    "another name": entry("b"),
    "another bucket": entry("a", { ref: { bucket: "music", name: "a" } }),
    "letters that have moved from the bucket into the name": entry("", { ref: { bucket: "photo", name: "sa" } }),
    "another version": entry("a", { version: "1" }),
    "letters that have moved from the name into the version": entry("", { version: "a" }),
    "another stored length": entry("a", { storedBytes: 82 }),
    "another envelope": entry("a", { envelope: new Uint8Array([1, 2, 4, 5]) }),
    "a shorter envelope": entry("a", { envelope: new Uint8Array([1, 2, 3]) }),
    "the start of the envelope in the name": entry("a\u0201", { envelope: new Uint8Array([3, 5]) }),
  };
  test.each(Object.entries(others))("is another with %s", (_what, other) => {
    expect(digestOf(other)).toHaveLength(32);
    expect(digestOf(other)).not.toBe(known("a"));
  });

  test("is the same for the same, whenever it was changed and however it is tagged", () => {
    expect(digestOf(entry("a", { tag: "u", modifiedMs: 2 }))).toBe(known("a"));
  });

  test("tells a name that is no text from U+FFFD", () => {
    expect(known("\ud800")).not.toBe(known("\ufffd"));
  });

  const unknown: Readonly<Record<string, Entry>> = {
    "a delete marker": entry("a", { marker: true }),
    "an entry without its envelope": entry("a", { envelope: undefined }),
    "an envelope that is very long": entry("a", { envelope: new Uint8Array(17_000) }),
    "a name that is very long": entry("a".repeat(9000)),
  };
  test.each(Object.entries(unknown))("is none for %s", (_what, other) => {
    expect(digestOf(other)).toBeUndefined();
  });
});

const checksum = fc.record({
  algorithm: fc.constantFrom("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256", "SHA512", "MD5"),
  kind: fc.constantFrom("whole", "composite"),
});
const listables: fc.Arbitrary<Listable> = fc.record({
  sizeBytes: fc.oneof(fc.nat(300), fc.nat(2 ** 31 - 1), fc.constantFrom(2 ** 40, 2 ** 48 - 1)),
  etag: fc.record({
    bytes: fc.uint8Array({ minLength: 16, maxLength: 16 }),
    parts: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 65_535 })),
  }),
  modifiedMs: fc.oneof(
    fc.nat(1000),
    fc.maxSafeNat().map((ms) => ms % 2 ** 48),
  ),
  checksums: fc.array(checksum, { maxLength: 8 }),
});
const bytes16 = fc.uint8Array({ minLength: 16, maxLength: 16 });
const keys = fc.array(fc.record({ id: bytes16, fingerprint: bytes16 }), { minLength: 1, maxLength: 20 });

describe("the memory of listings", () => {
  test("gives what was put, with the key that it was read with", () => {
    fc.assert(
      fc.property(keys, fc.array(listables, { maxLength: 100 }), fc.integer({ min: 5, max: 50 }), (all, put, slots) => {
        const memory = createListedMemory(20, slots);
        for (const [at, listable] of put.entries()) {
          memory.put(known(`n${at}`), all[at % all.length] as (typeof all)[number], listable);
        }
        for (const [at, { etag, ...same }] of put.entries()) {
          expect(memory.get(known(`n${at}`), ref)).toEqual({
            key: all[at % all.length],
            object: { ref, etag: etagText(etag), ...same },
          });
        }
        expect(memory.get(known("other"), ref)).toBeUndefined();
      }),
    );
  });

  test("keeps one mark of a key that is opened again and again", () => {
    const memory = createListedMemory(1, 10);
    const marks = Array.from({ length: 5 }, () => ({ id: new Uint8Array(16), fingerprint: new Uint8Array(16) }));
    for (const [at, mark] of marks.entries()) memory.put(known(`n${at}`), mark, LISTABLE);
    for (const at of marks.keys()) expect(memory.get(known(`n${at}`), ref)?.key).toBe(marks[0]);
  });

  test("forgets what was put first, and takes no more bytes then", () => {
    const memory = createListedMemory(3, 10);
    expect(memory.bytes).toBe(0);
    const names = Array.from({ length: 95 }, (_, at) => `n${at}`);
    const bytes = names.map((name) => {
      memory.put(known(name), KEY, LISTABLE);
      return memory.bytes;
    });
    const kept = names.filter((name) => memory.get(known(name), ref) !== undefined);
    expect(kept).toEqual(names.slice(70));
    expect(memory.bytes).toBe(bytes[30]);
    expect(Math.max(...bytes)).toBe(memory.bytes);
  });

  test("takes at most 50 bytes a name", () => {
    const memory = createListedMemory(1);
    for (let at = 0; at < 65_535; at += 1) memory.put(known(`n${at}`), KEY, LISTABLE);
    expect(memory.get(known("n0"), ref)).toBeDefined();
    expect(memory.bytes / 65_535).toBeLessThan(50);
    memory.put(known("n65535"), KEY, LISTABLE);
    expect(memory.get(known("n0"), ref)).toBeUndefined();
    expect(memory.get(known("n65535"), ref)).toBeDefined();
  });

  test.each([
    ["a size that no body has", { sizeBytes: 2 ** 48 }],
    ["a time in nine thousand years", { modifiedMs: 2 ** 48 }],
    ["a time before 1970", { modifiedMs: -1 }],
  ])("does not keep %s", (_what, more) => {
    const memory = createListedMemory(1, 10);
    memory.put(known("a"), KEY, { ...LISTABLE, ...more });
    expect(memory.get(known("a"), ref)).toBeUndefined();
  });
});
