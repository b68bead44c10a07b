import { describe, expect, test } from "vitest";
import { PATIENT } from "./contract/subject.ts";
import { createLocalKms } from "./local.ts";
import { probeKms } from "./probe.ts";
import { createRing } from "./ring.ts";

const kms = createLocalKms(createRing(new Date("2026-01-02T03:04:05Z")));

describe("probeKms()", () => {
  test("finds that a key can be used", async () => {
    expect(await probeKms(kms, PATIENT)).toBe("same");
  });

  test("finds that a KMS gives back other bytes", async () => {
    const liar = { ...kms, unwrap: async () => new Uint8Array(32) };
    expect(await probeKms(liar, PATIENT)).toBe("different");
  });

  test("asks with a context that nothing stored has", async () => {
    const contexts: unknown[] = [];
    const watched: typeof kms = {
      ...kms,
      wrap(plain, context, signal) {
        contexts.push(context);
        return kms.wrap(plain, context, signal);
      },
    };
    await probeKms(watched, PATIENT);
    expect(contexts).toEqual([{ "coffer:probe": "1" }]);
  });

  test("passes on what wrap() fails with", async () => {
    const reason = new Error("gone");
    await expect(probeKms(kms, AbortSignal.abort(reason))).rejects.toBe(reason);
  });
});
