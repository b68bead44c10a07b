import { describe, expect, test } from "vitest";
import { isOurLogin, loginAccount } from "./manifests.ts";

const { labels = {} } = loginAccount("team").metadata;
const OURS = [{ manager: "kubectl" }, { manager: "coffer" }];
const THEIRS = [{ manager: "kubectl" }];
const STORE = [{ uid: "1" }];

describe("isOurLogin()", () => {
  const accounts: Record<string, [metadata: Parameters<typeof isOurLogin>[0]["metadata"], isOurs: boolean]> = {
    "one with our labels, of which a watch tells no more, is ours": [{ labels }, true],
    "one that somebody took the labels of is still ours": [{ managedFields: OURS }, true],
    "one that somebody else made is not": [{ labels: { team: "a" }, managedFields: THEIRS }, false],
    "one that belongs to a store is not": [{ labels, managedFields: OURS, ownerReferences: STORE }, false],
  };

  test.each(Object.entries(accounts))("%s", (_sentence, [metadata, isOurs]) => {
    expect(isOurLogin({ metadata })).toBe(isOurs);
  });
});
