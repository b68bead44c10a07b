// What happens to wrapped keys while the versions of the KMS key come and go.

import { randomBytes } from "node:crypto";
import { beforeEach, describe, expect, test } from "vitest";
import type { TestKey } from "./subject.ts";
import { CONTEXT, codeOf, type KmsSubject, PATIENT } from "./subject.ts";

export function describeVersions(subject: () => KmsSubject): void {
  describe("versions", () => {
    let testKey: TestKey;

    beforeEach(async () => {
      testKey = await subject().makeKey();
    });

    async function rotate(): Promise<string> {
      return await testKey.admin.rotate((await testKey.admin.describe(PATIENT)).version, PATIENT);
    }

    test("what an older version wrapped still opens after two rotations", async () => {
      const plain = randomBytes(32);
      const wrapped = await (await testKey.open()).wrap(plain, CONTEXT, PATIENT);
      await rotate();
      await rotate();
      const kms = await testKey.open();
      expect(Buffer.compare(await kms.unwrap(wrapped, CONTEXT, PATIENT), plain)).toBe(0);
    });

    test("after a rotation the new version wraps", async () => {
      const version = await rotate();
      const kms = await testKey.open();
      expect((await kms.wrap(randomBytes(32), CONTEXT, PATIENT)).version).toBe(version);
      expect((await kms.generate(CONTEXT, PATIENT)).wrapped.version).toBe(version);
    });

    test("rewrap() brings the same key under the newest version, and may be repeated", async () => {
      const plain = randomBytes(32);
      const old = await (await testKey.open()).wrap(plain, CONTEXT, PATIENT);
      const version = await rotate();
      const kms = await testKey.open();
      const first = await kms.rewrap(old, CONTEXT, PATIENT);
      const again = await kms.rewrap(old, CONTEXT, PATIENT);
      const onceMore = await kms.rewrap(first, CONTEXT, PATIENT);
      for (const wrapped of [first, again, onceMore]) {
        expect(wrapped).toMatchObject({ version, kmsKeyId: testKey.kmsKeyId, provider: old.provider });
        expect(Buffer.compare(await kms.unwrap(wrapped, CONTEXT, PATIENT), plain)).toBe(0);
      }
    });

    test("what was rewrapped opens with the context that it had, and with no other", async () => {
      const old = await (await testKey.open()).wrap(randomBytes(32), CONTEXT, PATIENT);
      await rotate();
      const kms = await testKey.open();
      const wrapped = await kms.rewrap(old, CONTEXT, PATIENT);
      expect(await codeOf(kms.unwrap(wrapped, { ...CONTEXT, more: "" }, PATIENT))).toBe("rejected");
    });

    test("a version that was put beside the bytes of another is rejected", async () => {
      const old = await (await testKey.open()).wrap(randomBytes(32), CONTEXT, PATIENT);
      const version = await rotate();
      const kms = await testKey.open();
      expect(await codeOf(kms.unwrap({ ...old, version }, CONTEXT, PATIENT))).toBe("rejected");
    });

    test("a disabled version neither unwraps nor is rewrapped, and the others go on", async () => {
      const kmsBefore = await testKey.open();
      const old = await kmsBefore.wrap(randomBytes(32), CONTEXT, PATIENT);
      await rotate();
      await testKey.admin.disable(old.version, PATIENT);
      const kms = await testKey.open();
      expect(await codeOf(kms.unwrap(old, CONTEXT, PATIENT))).toBe("disabled");
      expect(await codeOf(kms.rewrap(old, CONTEXT, PATIENT))).toBe("disabled");
      const plain = randomBytes(32);
      const wrapped = await kms.wrap(plain, CONTEXT, PATIENT);
      expect(Buffer.compare(await kms.unwrap(wrapped, CONTEXT, PATIENT), plain)).toBe(0);
    });
  });
}
