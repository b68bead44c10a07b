// Signals and closing.

import { randomBytes } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import type { Kms, Wrapped } from "../kms.ts";
import { CONTEXT, type KmsSubject, PATIENT, type TestKey } from "./subject.ts";

export function describeGivingUp(subject: () => KmsSubject): void {
  describe("giving up", () => {
    let testKey: TestKey;
    let kms: Kms;
    let wrapped: Wrapped;

    beforeAll(async () => {
      testKey = await subject().makeKey();
      kms = await testKey.open();
      wrapped = await kms.wrap(randomBytes(32), CONTEXT, PATIENT);
    });

    const calls: Readonly<Record<string, (signal: AbortSignal) => Promise<unknown>>> = {
      generate: (signal) => kms.generate(CONTEXT, signal),
      wrap: (signal) => kms.wrap(randomBytes(32), CONTEXT, signal),
      unwrap: (signal) => kms.unwrap(wrapped, CONTEXT, signal),
      rewrap: (signal) => kms.rewrap(wrapped, CONTEXT, signal),
      describe: (signal) => testKey.admin.describe(signal),
      rotate: (signal) => testKey.admin.rotate("1", signal),
      disable: (signal) => testKey.admin.disable("1", signal),
    };

    for (const [name, call] of Object.entries(calls)) {
      test(`${name}() rejects with the reason of a signal that has aborted`, async () => {
        const reason = new Error("the client has gone");
        await expect(call(AbortSignal.abort(reason))).rejects.toBe(reason);
      });
    }

    test("an aborted rotate() has rotated nothing", async () => {
      const before = await testKey.admin.describe(PATIENT);
      await expect(testKey.admin.rotate(before.version, AbortSignal.abort())).rejects.toThrow();
      expect(await testKey.admin.describe(PATIENT)).toEqual(before);
    });

    test("close() may be called twice", async () => {
      const closing = await testKey.open();
      await closing.close();
      await expect(closing.close()).resolves.toBeUndefined();
    });
  });
}
