import { describe, expect, it } from "vitest";
import type { ConfiguredCredential, Permission } from "../config/config.ts";
import { type Action, authorize, type Principal, type Resource } from "./access.ts";

const NOW = 1_000_000;

function credential(
  permissions: readonly Permission[],
  more: Partial<ConfiguredCredential> = {},
): ConfiguredCredential {
  return {
    entry: "app",
    generation: 1,
    accessKeyId: "AKTEST",
    secret: "secret-secret",
    tokenSha256: "0".repeat(64),
    permissions: [...permissions],
    ...more,
  };
}

function member(permissions: readonly Permission[], more: Partial<ConfiguredCredential> = {}): Principal {
  return {
    kind: "credential",
    credential: { configured: credential(permissions, more), bucket: "photos", selfService: false },
  };
}

const selfService: Principal = {
  kind: "credential",
  credential: { configured: credential([]), bucket: undefined, selfService: true },
};

const photos: Resource = { bucket: "photos", selfServiceBucket: false };
const everyAction: readonly Action[] = [
  "ReadObject",
  "WriteObject",
  "DeleteObject",
  "ListObjects",
  "HeadBucket",
  "ReadSettings",
  "WriteSettings",
  "CreateBucket",
  "RemoveBucket",
  "AdministerKeys",
];

function allowed(who: Principal, on: Resource = photos): Action[] {
  return everyAction.filter((action) => authorize(who, action, on, NOW) === "allowed");
}

describe("authorize()", () => {
  it.each<[string, Principal, Resource, Action[]]>([
    ["nobody gets nothing", { kind: "anonymous" }, photos, []],
    ["a credential without permissions gets nothing", member([]), photos, []],
    [
      "Read reads, and sees that the bucket is there",
      member(["Read"]),
      photos,
      ["ReadObject", "HeadBucket", "ReadSettings"],
    ],
    ["Write writes and deletes nothing", member(["Write"]), photos, ["WriteObject", "HeadBucket", "ReadSettings"]],
    ["Delete deletes", member(["Delete"]), photos, ["DeleteObject", "HeadBucket", "ReadSettings"]],
    ["List lists", member(["List"]), photos, ["ListObjects", "HeadBucket", "ReadSettings"]],
    [
      "a credential reaches no other bucket",
      member(["Read", "Write", "List", "Delete"]),
      { bucket: "other", selfServiceBucket: false },
      [],
    ],
    ["a credential that has ended gets nothing", member(["Read"], { endsMs: NOW }), photos, []],
    ["a self-service credential only creates", selfService, photos, ["CreateBucket"]],
    ["a job may everything", { kind: "job", job: "rewrap" }, photos, [...everyAction]],
  ])("%s", (_sentence, who, on, expected) => {
    expect(allowed(who, on)).toEqual(expected);
  });

  it("lets a credential work until the very moment that it ends", () => {
    expect(authorize(member(["Read"], { endsMs: NOW + 1 }), "ReadObject", photos, NOW)).toBe("allowed");
  });

  it("gives a self-service credential everything in the buckets that were made so, but keys", () => {
    expect(allowed(selfService, { bucket: "mine", selfServiceBucket: true })).toEqual(
      everyAction.filter((action) => action !== "AdministerKeys"),
    );
  });

  it("lets keys be administered by a credential that is marked for it, and by no other", () => {
    expect(authorize(member([], { keys: true }), "AdministerKeys", photos, NOW)).toBe("allowed");
    expect(authorize(member(["Read"]), "AdministerKeys", photos, NOW)).toEqual({
      deniedBy: "the credential may not administer keys",
    });
  });
});
