// What comes back, and what does not: keys, contexts, damage, ownership of bytes.

import { randomBytes } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import type { Kms, KmsContext, Wrapped } from "../kms.ts";
import { CONTEXT, codeOf, type KmsSubject, PATIENT, type TestKey } from "./subject.ts";

const CONTEXTS: Readonly<Record<string, KmsContext>> = {
  "a bucket's context": CONTEXT,
  "no pair": {},
  "one pair with an empty value": { "coffer:probe": "" },
  "names and values beyond ASCII": { größe: "日本", "\u{1f511}": "\u{1f4a5}", "\ufb01": "\0" },
  "a value of 8 KiB": { long: "x".repeat(8192) },
};

/** Each differs from CONTEXT in one way. */
const OTHER_CONTEXTS: Readonly<Record<string, KmsContext>> = {
  "another value": { ...CONTEXT, "coffer:bucket": "photoz" },
  "a value in another case": { ...CONTEXT, "coffer:bucket": "Photos" },
  "a pair more": { ...CONTEXT, team: "a" },
  "a pair less": { "coffer:store": CONTEXT["coffer:store"], "coffer:key": CONTEXT["coffer:key"] },
  "two values exchanged": { ...CONTEXT, "coffer:store": CONTEXT["coffer:key"], "coffer:key": CONTEXT["coffer:store"] },
  "a name that took a letter of its value": {
    "coffer:store": CONTEXT["coffer:store"],
    "coffer:bucketp": "hotos",
    "coffer:key": CONTEXT["coffer:key"],
  },
  "no pair": {},
};

export function describeWrapping(subject: () => KmsSubject): void {
  describe("wrapping", () => {
    let testKey: TestKey;
    let kms: Kms;

    beforeAll(async () => {
      testKey = await subject().makeKey();
      kms = await testKey.open();
    });

    for (const [what, context] of Object.entries(CONTEXTS)) {
      test(`wrap() and unwrap() give back the key with ${what}`, async () => {
        const plain = randomBytes(32);
        const wrapped = await kms.wrap(plain, context, PATIENT);
        expect(Buffer.compare(await kms.unwrap(wrapped, context, PATIENT), plain)).toBe(0);
      });
    }

    test("generate() gives a new key of 32 bytes that its wrapped form opens to", async () => {
      const first = await kms.generate(CONTEXT, PATIENT);
      const second = await kms.generate(CONTEXT, PATIENT);
      expect(first.plain).toHaveLength(32);
      expect(Buffer.compare(first.plain, second.plain)).not.toBe(0);
      expect(Buffer.compare(await kms.unwrap(first.wrapped, CONTEXT, PATIENT), first.plain)).toBe(0);
    });

    test("what is wrapped names provider, KMS key and newest version", async () => {
      const { version } = await testKey.admin.describe(PATIENT);
      const named = { provider: subject().provider, kmsKeyId: testKey.kmsKeyId, version };
      expect(await kms.wrap(randomBytes(32), CONTEXT, PATIENT)).toMatchObject(named);
      expect((await kms.generate(CONTEXT, PATIENT)).wrapped).toMatchObject(named);
    });

    test("wrapping one key twice gives different bytes, and neither holds the key", async () => {
      const plain = randomBytes(32);
      const first = await kms.wrap(plain, CONTEXT, PATIENT);
      const second = await kms.wrap(plain, CONTEXT, PATIENT);
      expect(Buffer.compare(first.bytes, second.bytes)).not.toBe(0);
      expect(Buffer.from(first.bytes).includes(plain)).toBe(false);
    });

    test("the order in which the pairs of a context were written does not matter", async () => {
      const plain = randomBytes(32);
      const wrapped = await kms.wrap(plain, { b: "2", a: "1" }, PATIENT);
      expect(Buffer.compare(await kms.unwrap(wrapped, { a: "1", b: "2" }, PATIENT), plain)).toBe(0);
    });

    test("each caller gets plain bytes of its own", async () => {
      const { plain, wrapped } = await kms.generate(CONTEXT, PATIENT);
      const kept = Buffer.from(plain);
      const first = await kms.unwrap(wrapped, CONTEXT, PATIENT);
      first.fill(0);
      plain.fill(0);
      expect(Buffer.compare(await kms.unwrap(wrapped, CONTEXT, PATIENT), kept)).toBe(0);
    });

    test("wrap() and unwrap() leave what they were given as it was", async () => {
      const plain = randomBytes(32);
      const plainBefore = Buffer.from(plain);
      const wrapped = await kms.wrap(plain, CONTEXT, PATIENT);
      const bytesBefore = Buffer.from(wrapped.bytes);
      await kms.unwrap(wrapped, CONTEXT, PATIENT);
      expect(plain).toEqual(plainBefore);
      expect(Buffer.from(wrapped.bytes)).toEqual(bytesBefore);
    });

    for (const [what, context] of Object.entries(OTHER_CONTEXTS)) {
      test(`unwrap() and rewrap() are rejected with ${what} in the context`, async () => {
        const wrapped = await kms.wrap(randomBytes(32), CONTEXT, PATIENT);
        expect(await codeOf(kms.unwrap(wrapped, context, PATIENT))).toBe("rejected");
        expect(await codeOf(kms.rewrap(wrapped, context, PATIENT))).toBe("rejected");
      });
    }

    test("unwrap() is rejected by another key of the same KMS, under either name", async () => {
      const other = await subject().makeKey();
      const otherKms = await other.open();
      const wrapped = await kms.wrap(randomBytes(32), CONTEXT, PATIENT);
      expect(await codeOf(otherKms.unwrap(wrapped, CONTEXT, PATIENT))).toBe("rejected");
      expect(await codeOf(otherKms.unwrap({ ...wrapped, kmsKeyId: other.kmsKeyId }, CONTEXT, PATIENT))).toBe(
        "rejected",
      );
      await otherKms.close();
    });

    test("unwrap() is rejected for what names another provider type", async () => {
      const wrapped = await kms.wrap(randomBytes(32), CONTEXT, PATIENT);
      const provider = wrapped.provider === "AWS" ? "Azure" : "AWS";
      expect(await codeOf(kms.unwrap({ ...wrapped, provider }, CONTEXT, PATIENT))).toBe("rejected");
    });

    test("unwrap() is rejected for damaged, cut and lengthened bytes", async () => {
      const wrapped = await kms.wrap(randomBytes(32), CONTEXT, PATIENT);
      for (const bytes of damaged(wrapped)) {
        expect(await codeOf(kms.unwrap({ ...wrapped, bytes }, CONTEXT, PATIENT))).toBe("rejected");
      }
    });

    test("only keys of 32 bytes are wrapped", async () => {
      for (const length of [0, 16, 31, 33, 64]) {
        expect(await codeOf(kms.wrap(randomBytes(length), CONTEXT, PATIENT))).toBe("unsupported");
      }
    });
  });
}

function damaged({ bytes }: Wrapped): Uint8Array[] {
  const last = bytes.length - 1;
  const flipped = [0, last >> 1, last].map((at) => bytes.map((byte, index) => (index === at ? byte ^ 1 : byte)));
  return [...flipped, bytes.subarray(0, last), Buffer.concat([bytes, Buffer.alloc(1)]), new Uint8Array(0)];
}
