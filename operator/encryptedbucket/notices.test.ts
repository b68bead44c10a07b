import { describe, expect, test } from "vitest";
import type { EncryptedBucketStatus } from "../../crds/encryptedbucket.ts";
import { bucketNotices } from "./notices.ts";

type Actions = Parameters<typeof bucketNotices>[2];

function giving(...access: readonly [name: string, credentialsGeneration: number][]): EncryptedBucketStatus {
  return {
    observedGeneration: 1,
    access: access.map(([name, credentialsGeneration]) => ({
      name,
      secretName: `photos-${name}`,
      credentialsGeneration,
    })),
  };
}

const NOTHING: EncryptedBucketStatus = { observedGeneration: 1 };
const GONE = "new credentials for access entry app: its Secret was gone, so the old ones have ended";

describe("bucketNotices() about credentials", () => {
  const cases: Record<string, [EncryptedBucketStatus, EncryptedBucketStatus, Actions, string[]]> = {
    "the first ones": [NOTHING, giving(["app", 0]), [{ kind: "create", entry: "app" }], []],
    "the same as before": [giving(["app", 1]), giving(["app", 1]), [], []],
    "a number that was raised": [giving(["app", 0]), giving(["app", 1]), [], ["new credentials for access entry app"]],
    "a number that was lowered": [giving(["app", 7]), giving(["app", 0]), [], []],
    "a rotated pair on its way into its Secret": [
      giving(["app", 0]),
      giving(["app", 0]),
      [{ kind: "publish", entry: "app" }],
      [],
    ],
    "a Secret that was deleted": [giving(["app", 1]), giving(["app", 1]), [{ kind: "create", entry: "app" }], [GONE]],
    "an entry that went": [
      giving(["app", 0], ["reports", 0]),
      giving(["app", 0]),
      [{ kind: "remove", entry: "reports" }],
      ["access entry reports has gone: its credentials end"],
    ],
    "a Secret that gets another name": [
      giving(["app", 0]),
      giving(["app", 0]),
      [
        { kind: "remove", entry: "app" },
        { kind: "create", entry: "app" },
      ],
      [GONE],
    ],
  };
  test.each(Object.entries(cases))("tells what there is to tell of %s", (_sentence, [before, after, actions, told]) => {
    expect(bucketNotices(before, after, actions).map(({ message }) => message)).toEqual(told);
  });
});
