import { describe, expect, test } from "vitest";
import { type KmsCode, KmsError } from "../kms/kms.ts";
import { failureOf } from "./failure.ts";

describe("a KMS that cannot be used now", () => {
  const codes: readonly KmsCode[] = ["credentials", "throttled", "unreachable", "tls", "sealed", "circuit-open"];

  const waits: readonly [string, ms: number | undefined, seconds: number][] = [
    ["after a few seconds where it named no time", undefined, 5],
    ["after a few seconds where it named less", 1_000, 5],
    ["no sooner than it named", 7_000, 7],
    ["no sooner than it named, in whole seconds", 29_001, 30],
    ["within a minute where it named more", 3_600_000, 60],
  ];
  describe.each(waits)("is asked again %s", (_what, retryAfterMs, retryAfterSeconds) => {
    test.each(codes)("%s", (code) => {
      const error = new KmsError(code, "wrap", "No", retryAfterMs === undefined ? {} : { retryAfterMs });
      const message = "Cannot write: the KMS cannot be used now";
      expect(failureOf(error, "write")).toMatchObject({ code: "ServiceUnavailable", message, retryAfterSeconds });
    });
  });
});
