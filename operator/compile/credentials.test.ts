import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ConfiguredCredential } from "../../dataplane/config/config.ts";
import {
  type CredentialsPlan,
  type EntryObserved,
  entriesInNeed,
  type Pair,
  planCredentials,
  type SecretSeen,
  tokenOf,
} from "./credentials.ts";

const NOW_MS = 1_000_000;
const OVERLAP_MS = 60_000;
const first: Pair = { accessKeyId: "CFRFIRSTFIRSTFIRST", secret: "first-secret-first-secret" };
const second: Pair = { accessKeyId: "CFRSECONDSECONDSEC", secret: "second-secret-second-secret" };
const third: Pair = { accessKeyId: "CFRTHIRDTHIRDTHIRD", secret: "third-secret-third-secret" };

function configured(pair: Pair, generation: number, endsMs?: number): ConfiguredCredential {
  return {
    entry: "app",
    generation,
    ...pair,
    tokenSha256: "",
    permissions: ["Read"],
    ...(endsMs === undefined ? {} : { endsMs }),
  };
}

function seen(pair: Pair, isTidy = true): SecretSeen {
  return { kind: "pair", pair, isTidy };
}

function entry(changes: Partial<EntryObserved> & { generation?: number } = {}): EntryObserved {
  const { generation = 0, ...rest } = changes;
  return {
    wish: { name: "app", permissions: ["Read"], generation },
    seen: { kind: "absent" },
    before: [],
    publishedGeneration: undefined,
    isApplied: true,
    fresh: undefined,
    ...rest,
  };
}

function plan(observed: EntryObserved): CredentialsPlan {
  return planCredentials([observed], OVERLAP_MS, NOW_MS);
}

/** What matters of each pair: whose it is, its generation and its end. */
function pairs({ configured: all }: CredentialsPlan) {
  return all.map(({ accessKeyId, generation, endsMs }) => [accessKeyId, generation, endsMs]);
}

describe("planCredentials()", () => {
  test("makes the first pair, and configures none before it is published", () => {
    const planned = plan(entry({ fresh: first }));
    expect(planned.actions).toEqual([{ kind: "create", entry: "app", pair: first }]);
    expect(planned.configured).toEqual([]);
    expect(planned.pending).toEqual(["app"]);
  });

  test("configures a pair that was published before the configuration knew it", () => {
    const planned = plan(entry({ seen: seen(first), generation: 4 }));
    expect(pairs(planned)).toEqual([[first.accessKeyId, 4, undefined]]);
    expect(planned.actions).toEqual([]);
  });

  test("finds with a lost configuration the generation that the status knows", () => {
    const planned = plan(entry({ seen: seen(first), generation: 5, publishedGeneration: 4 }));
    expect(pairs(planned)).toEqual([[first.accessKeyId, 4, undefined]]);
  });

  test("rests when configuration and Secret agree", () => {
    const before = [configured(first, 1)];
    const planned = plan(entry({ seen: seen(first), generation: 1, before }));
    expect(pairs(planned)).toEqual([[first.accessKeyId, 1, undefined]]);
    expect(planned).toMatchObject({ actions: [], pending: [], published: [{ entry: "app", generation: 1 }] });
  });

  test("configures a new pair beside the old one, which gets an end, before it publishes it", () => {
    const before = [configured(first, 0)];
    const planned = plan(entry({ seen: seen(first), generation: 1, before, fresh: second }));
    expect(pairs(planned)).toEqual([
      [second.accessKeyId, 1, undefined],
      [first.accessKeyId, 0, NOW_MS + OVERLAP_MS],
    ]);
    expect(planned).toMatchObject({ actions: [], pending: ["app"] });
  });

  test("does not publish a new pair until every ready pod knows it", () => {
    const before = [configured(second, 1), configured(first, 0, NOW_MS + 5)];
    expect(plan(entry({ seen: seen(first), generation: 1, before, isApplied: false })).actions).toEqual([]);
    expect(plan(entry({ seen: seen(first), generation: 1, before })).actions).toEqual([
      { kind: "publish", entry: "app", pair: second },
    ]);
  });

  test("lets an earlier end stand when it rotates again", () => {
    const before = [configured(second, 1), configured(first, 0, NOW_MS + 5)];
    const planned = plan(entry({ seen: seen(second), generation: 2, before, fresh: third }));
    expect(pairs(planned)).toEqual([
      [third.accessKeyId, 2, undefined],
      [second.accessKeyId, 1, NOW_MS + OVERLAP_MS],
      [first.accessKeyId, 0, NOW_MS + 5],
    ]);
  });

  test("forgets a pair whose end has come", () => {
    const before = [configured(second, 1), configured(first, 0, NOW_MS)];
    expect(pairs(plan(entry({ seen: seen(second), generation: 1, before })))).toEqual([
      [second.accessKeyId, 1, undefined],
    ]);
  });

  test("ends every pair at once when the Secret was taken away, and then makes a new one", () => {
    const before = [configured(second, 1), configured(first, 0, NOW_MS + 5)];
    const ended = plan(entry({ generation: 1, before, fresh: third }));
    expect(ended).toMatchObject({ configured: [], actions: [], pending: ["app"], replaced: ["app"] });
    const begun = plan(entry({ generation: 1, before: [], fresh: third }));
    expect(begun).toMatchObject({ actions: [{ kind: "create", entry: "app", pair: third }], replaced: [] });
  });

  test("touches nothing that is not ours", () => {
    const foreign: SecretSeen = { kind: "foreign", place: "Secret photos-app" };
    const planned = plan(entry({ seen: foreign, fresh: first }));
    expect(planned).toMatchObject({ configured: [], actions: [] });
    expect(planned.conflicts).toEqual([{ entry: "app", place: "Secret photos-app" }]);
  });

  test("puts right what somebody changed beside the pair, or of it", () => {
    const before = [configured(first, 0)];
    const publish = [{ kind: "publish", entry: "app", pair: first }];
    expect(plan(entry({ seen: seen(first, false), before })).actions).toEqual(publish);
    expect(plan(entry({ seen: seen(third), before })).actions).toEqual(publish);
  });

  test("adopts a counter that is lower than the one that was dealt with", () => {
    const planned = plan(entry({ seen: seen(first), generation: 1, before: [configured(first, 7)] }));
    expect(pairs(planned)).toEqual([[first.accessKeyId, 1, undefined]]);
  });

  test("gives every pair the permissions that the entry has now", () => {
    const before = [configured(second, 1), configured(first, 0, NOW_MS + 5)];
    const observed = entry({ seen: seen(second), generation: 1, before });
    const planned = plan({ ...observed, wish: { ...observed.wish, permissions: ["List"] } });
    expect(planned.configured.map(({ permissions }) => permissions)).toEqual([["List"], ["List"]]);
  });
});

test("entriesInNeed() names an entry exactly when its plan would use a fresh pair", () => {
  const anyPair = fc.constantFrom(first, second);
  const anySeen: fc.Arbitrary<SecretSeen> = fc.oneof(
    fc.constant<SecretSeen>({ kind: "absent" }),
    fc.constant<SecretSeen>({ kind: "foreign", place: "there" }),
    fc.record({ kind: fc.constant("pair" as const), pair: anyPair, isTidy: fc.boolean() }),
  );
  const anyBefore = fc.oneof(
    fc.constant([]),
    fc.tuple(anyPair, fc.nat(3)).map(([pair, generation]) => [configured(pair, generation)]),
  );
  fc.assert(
    fc.property(anySeen, anyBefore, fc.nat(3), fc.boolean(), (see, before, generation, isApplied) => {
      const observed = entry({ seen: see, before, generation, isApplied, fresh: third });
      const planned = plan(observed);
      const used = [...planned.configured, ...planned.actions.map(({ pair }) => pair)];
      const isUsed = used.some(({ accessKeyId }) => accessKeyId === third.accessKeyId);
      expect(entriesInNeed([observed])).toEqual(isUsed ? ["app"] : []);
    }),
  );
});

test("tokenOf() differs with id and secret, and says neither", () => {
  const token = tokenOf(first);
  expect(token).toMatch(/^[A-Za-z0-9_-]{43}$/);
  expect(tokenOf({ ...first, secret: second.secret })).not.toBe(token);
  expect(tokenOf({ ...first, accessKeyId: second.accessKeyId })).not.toBe(token);
  expect(token).not.toContain(first.secret);
});
