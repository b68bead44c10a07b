// KeyAdmin: at most one rotation a wish, whatever is repeated or races, and nothing that would lose a key.

import { beforeEach, describe, expect, test } from "vitest";
import { codeOf, type KmsSubject, PATIENT, type TestKey } from "./subject.ts";

export function describeAdministration(subject: () => KmsSubject): void {
  describe("administration", () => {
    let testKey: TestKey;

    beforeEach(async () => {
      testKey = await subject().makeKey();
    });

    test("describe() of a new key names its one version, enabled", async () => {
      const { version, enabled, versions } = await testKey.admin.describe(PATIENT);
      expect({ enabled, versions }).toEqual({ enabled: true, versions: [version] });
    });

    test("rotate() returns the new version, and describe() names it beside the old one", async () => {
      const before = await testKey.admin.describe(PATIENT);
      const version = await testKey.admin.rotate(before.version, PATIENT);
      expect(version).not.toBe(before.version);
      expect(await testKey.admin.describe(PATIENT)).toEqual({
        version,
        enabled: true,
        versions: [before.version, version],
      });
    });

    test("rotate() asked again with the old version rotates nothing and returns the newest", async () => {
      const { version } = await testKey.admin.describe(PATIENT);
      const rotated = await testKey.admin.rotate(version, PATIENT);
      expect(await testKey.admin.rotate(version, PATIENT)).toBe(rotated);
      expect((await testKey.admin.describe(PATIENT)).versions).toHaveLength(2);
    });

    test("rotate() with a version that never was rotates nothing", async () => {
      const { version } = await testKey.admin.describe(PATIENT);
      expect(await testKey.admin.rotate("no-such-version", PATIENT)).toBe(version);
    });

    test("disable() takes the version out of those that unwrap, and may be repeated", async () => {
      const { version } = await testKey.admin.describe(PATIENT);
      const rotated = await testKey.admin.rotate(version, PATIENT);
      await testKey.admin.disable(version, PATIENT);
      await testKey.admin.disable(version, PATIENT);
      expect(await testKey.admin.describe(PATIENT)).toEqual({ version: rotated, enabled: true, versions: [rotated] });
    });

    test("disable() refuses the newest version", async () => {
      const { version } = await testKey.admin.describe(PATIENT);
      expect(await codeOf(testKey.admin.disable(version, PATIENT))).toBe("unsupported");
      expect((await testKey.admin.describe(PATIENT)).versions).toEqual([version]);
    });

    test("disable() does not find a version that never was", async () => {
      expect(await codeOf(testKey.admin.disable("99", PATIENT))).toBe("not-found");
    });

    test("a key that has gone is not found, and is not made again", async () => {
      const { version } = await testKey.admin.describe(PATIENT);
      await testKey.remove();
      expect(await codeOf(testKey.admin.describe(PATIENT))).toBe("not-found");
      expect(await codeOf(testKey.admin.rotate(version, PATIENT))).toBe("not-found");
      expect(await codeOf(testKey.admin.disable(version, PATIENT))).toBe("not-found");
      expect(await codeOf(testKey.admin.describe(PATIENT))).toBe("not-found");
    });
  });
}
