import { describe, expect, test } from "vitest";
import { localKey } from "../../kms/contract/localkey.ts";
import { KmsError } from "../../kms/kms.ts";
import {
  bodyOf,
  bucketEntry,
  callOf,
  codeOf,
  createWorld,
  getWanted,
  PHOTO,
  plainBytes,
  putWanted,
} from "./contract/world.ts";
import type { EncryptionWanted } from "./objects.ts";
import { fasterSuite } from "./suite.ts";

const NOTHING: EncryptionWanted = {
  shown: undefined,
  kmsKeyId: undefined,
  context: undefined,
  bucketKeyEnabled: undefined,
};
const CONTEXT = new Map([["purpose", "test"]]);

describe("how an object is encrypted", () => {
  const rows: readonly (readonly [string, "bucket" | "object", Partial<EncryptionWanted>, string, boolean])[] = [
    ["follows the bucket", "bucket", {}, "aws:kms", true],
    ["follows the bucket's key mode", "object", {}, "aws:kms", false],
    ["shows what the request asks for", "bucket", { shown: "AES256" }, "AES256", false],
    ["is in mode 2 if the request wants no bucket key", "bucket", { bucketKeyEnabled: false }, "aws:kms", false],
    ["is in mode 1 if the request wants a bucket key", "object", { bucketKeyEnabled: true }, "aws:kms", true],
    [
      "is in mode 2 with a context",
      "bucket",
      { shown: "aws:kms", context: CONTEXT, bucketKeyEnabled: true },
      "aws:kms",
      false,
    ],
  ];
  test.each(rows)("%s", async (_sentence, keyMode, wanted, shown, bucketKeyEnabled) => {
    const world = await createWorld(localKey());
    const call = callOf(world, { buckets: [bucketEntry("photos", { keyMode })] });
    const encryption = { ...NOTHING, ...wanted };
    const info = await world.objects.put(call, PHOTO, bodyOf(plainBytes(3)), putWanted({ encryption }));
    expect([info.shown, info.bucketKeyEnabled]).toEqual([shown, bucketKeyEnabled]);
    expect(info.kmsKeyId).toBe(shown === "aws:kms" ? world.key.kmsKeyId : undefined);
    const found = await world.objects.head(call, PHOTO, getWanted());
    expect(found.info).toEqual(info);
  });

  test("asks the KMS for each object in mode 2, and for none in mode 1 once the bucket key is cached", async () => {
    const key = localKey();
    let asked = 0;
    for (const action of ["wrap", "unwrap"] as const) {
      const ask = key.kms[action].bind(key.kms) as (...given: unknown[]) => Promise<never>;
      Object.assign(key.kms, {
        [action]: (...given: unknown[]) => {
          asked += 1;
          return ask(...given);
        },
      });
    }
    const world = await createWorld(key);
    const put = () => world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(3)), putWanted());
    await put();
    asked = 0;
    await put();
    await world.objects.head(callOf(world), PHOTO, getWanted());
    expect(asked).toBe(0);
    const encryption = { ...NOTHING, bucketKeyEnabled: false };
    await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(3)), putWanted({ encryption }));
    expect(asked).toBe(1);
    await world.objects.head(callOf(world), PHOTO, getWanted());
    expect(asked).toBe(1);
    await (await world.objects.get(callOf(world), PHOTO, getWanted())).close();
    expect(asked).toBe(2);
  });

  test.each([
    ["unreachable", "ServiceUnavailable"],
    ["circuit-open", "ServiceUnavailable"],
    ["disabled", "KMS.DisabledException"],
    ["not-found", "KMS.NotFoundException"],
    ["denied", "AccessDenied"],
  ] as const)("what the KMS answers is told: %s", async (code, answer) => {
    const key = localKey();
    const world = await createWorld(key);
    await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(3)), putWanted());
    Object.assign(key.kms, { wrap: () => Promise.reject(new KmsError(code, "wrap", "injected")) });
    const encryption = { ...NOTHING, bucketKeyEnabled: false };
    let asked = false;
    const body = {
      ...bodyOf(plainBytes(3)),
      async *[Symbol.asyncIterator]() {
        asked = true;
        yield plainBytes(3);
      },
    };
    expect(await codeOf(world.objects.put(callOf(world), PHOTO, body, putWanted({ encryption })))).toBe(answer);
    expect(asked).toBe(false);
  });
});

test("fasterSuite() names one cipher, and the same one again", () => {
  expect(["AES-256-GCM", "ChaCha20-Poly1305"]).toContain(fasterSuite());
  expect(fasterSuite()).toBe(fasterSuite());
});
