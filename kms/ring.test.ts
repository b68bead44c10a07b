import { inspect } from "node:util";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  createRing,
  newestKey,
  parseRing,
  parseRingText,
  printRing,
  RingInvalid,
  ringProblems,
  withDisabledVersion,
  withNewVersion,
} from "./ring.ts";

const NOW = new Date("2026-01-02T03:04:05Z");
const keyOf = (byte: number) => Buffer.alloc(32, byte).toString("base64");
const key = (version: number, more: object = {}) => ({
  version,
  key: keyOf(version),
  created: "2026-01-02T03:04:05Z",
  state: "enabled",
  ...more,
});
const ring = (more: object = {}) => ({ format: "coffer-ring-1", id: "0a".repeat(16), keys: [key(1), key(2)], ...more });
const withKey = (more: object) => ring({ keys: [key(1), key(2, more)] });

const good: Readonly<Record<string, unknown>> = {
  "one version": ring({ keys: [key(1)] }),
  "two versions": ring(),
  "versions with gaps, not from 1": ring({ keys: [key(7), key(9)] }),
  "the highest version that there can be": ring({ keys: [key(2 ** 32 - 1, { key: keyOf(1) })] }),
  "an older version disabled": ring({ keys: [key(1, { state: "disabled" }), key(2)] }),
  "a date with fraction and offset": withKey({ created: "2026-02-28T23:59:59.123456+05:30" }),
  "a leap day": withKey({ created: "2028-02-29T00:00:00Z" }),
};

/** What is wrong, and where it must be reported. */
const bad: Readonly<Record<string, [unknown, ...string[]]>> = {
  "not an object": ["ring", ""],
  null: [null, ""],
  "a list": [[], ""],
  "no member at all": [{}, "/format", "/id", "/keys"],
  "another format": [ring({ format: "coffer-ring-2" }), "/format"],
  "an unknown member": [ring({ note: "x" }), "/note"],
  "an unknown member of a key": [withKey({ note: "x" }), "/keys/1/note"],
  "an id in upper case": [ring({ id: "0A".repeat(16) }), "/id"],
  "an id that is too short": [ring({ id: "0a".repeat(15) }), "/id"],
  "no key": [ring({ keys: [] }), "/keys"],
  "a key that is not there": [ring({ keys: [{ ...key(1), key: undefined }] }), "/keys/0/key"],
  "version 0": [ring({ keys: [key(0)] }), "/keys/0/version"],
  "a version that is no integer": [withKey({ version: 2.5 }), "/keys/1/version"],
  "a version as text": [withKey({ version: "2" }), "/keys/1/version"],
  "a version beyond 32 bits": [withKey({ version: 2 ** 32 }), "/keys/1/version"],
  "a version twice": [ring({ keys: [key(1), key(1, { key: keyOf(2) })] }), "/keys/1/version"],
  "versions that descend": [ring({ keys: [key(2), key(1)] }), "/keys/1/version"],
  "a key of 31 bytes": [withKey({ key: Buffer.alloc(31).toString("base64") }), "/keys/1/key"],
  "a key of 33 bytes": [withKey({ key: Buffer.alloc(33).toString("base64") }), "/keys/1/key"],
  "a key without padding": [withKey({ key: keyOf(2).replace("=", "") }), "/keys/1/key"],
  "a key in base64url": [withKey({ key: keyOf(255).replaceAll("/", "_") }), "/keys/1/key"],
  "a key with unused bits set": [withKey({ key: keyOf(0).replace("A=", "B=") }), "/keys/1/key"],
  "one key under two versions": [withKey({ key: keyOf(1) }), "/keys/1/key"],
  "a date without time": [withKey({ created: "2026-01-02" }), "/keys/1/created"],
  "a date without zone": [withKey({ created: "2026-01-02T03:04:05" }), "/keys/1/created"],
  "the 31st of a short month": [withKey({ created: "2026-04-31T00:00:00Z" }), "/keys/1/created"],
  "hour 25": [withKey({ created: "2026-04-30T25:00:00Z" }), "/keys/1/created"],
  "an unknown state": [ring({ keys: [key(1, { state: "lost" }), key(2)] }), "/keys/0/state"],
  "the highest version disabled": [withKey({ state: "disabled" }), "/keys/1/state"],
};

describe("parseRing()", () => {
  for (const [what, json] of Object.entries(good)) {
    test(`takes ${what}, and printRing() gives it back`, () => {
      expect(printRing(parseRing(json))).toEqual(json);
    });
  }

  for (const [what, [json, ...places]] of Object.entries(bad)) {
    test(`refuses ${what}`, () => {
      expect([...new Set(ringProblems(json, "").map(({ at }) => at))]).toEqual(places);
      expect(() => parseRing(json)).toThrow(RingInvalid);
    });
  }

  test("reports all problems at once, however many", () => {
    const keys = Array.from({ length: 30 }, (_, index) => key(30 - index, { key: keyOf(9), created: "then" }));
    expect(ringProblems(ring({ keys }), "/ring")).toHaveLength(30);
    const dated = keys.map((entry) => ({ ...entry, created: "2026-01-01T00:00:00Z" }));
    expect(ringProblems(ring({ keys: dated }), "/ring")).toHaveLength(58);
  });

  test("never quotes what it found", () => {
    const secret = "hunter2-marker";
    for (const json of [
      ring({ id: secret }),
      withKey({ key: secret }),
      withKey({ created: secret }),
      secret,
      [secret],
    ]) {
      const error = catching(() => parseRing(json));
      expect(inspect(error, { depth: null })).not.toContain(secret);
    }
    expect(inspect(catching(() => parseRingText(`{"key": "${secret}"`)))).not.toContain(secret);
  });
});

describe("a ring", () => {
  test("is new each time, with one enabled version", () => {
    const [one, other] = [printRing(createRing(NOW)), printRing(createRing(NOW))];
    expect(one.keys).toHaveLength(1);
    expect(one.keys[0]).toMatchObject({ version: 1, state: "enabled", created: "2026-01-02T03:04:05.000Z" });
    expect(one.id).not.toBe(other.id);
    expect(one.keys[0]?.key).not.toBe(other.keys[0]?.key);
    expect(ringProblems(one, "")).toEqual([]);
  });

  test("shows no key when it is printed by accident", () => {
    const made = createRing(NOW);
    const base64 = printRing(made).keys[0]?.key as string;
    expect(`${inspect(made, { depth: null, showHidden: true })}${JSON.stringify(made)}`).not.toContain(base64);
    expect(JSON.stringify(made)).toContain("[redacted]");
  });

  test("stays valid and round-trips through text whatever is added and disabled", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 20 }), (steps) => {
        let made = createRing(NOW);
        for (const step of steps) {
          const older = made.keys.length > step + 1 ? made.keys[step] : undefined;
          made = older === undefined ? withNewVersion(made, NOW) : withDisabledVersion(made, older.version);
        }
        const json = printRing(made);
        expect(printRing(parseRingText(JSON.stringify(json)))).toEqual(json);
        expect(newestKey(made).state).toBe("enabled");
      }),
    );
  });

  test("cannot have a version beyond 32 bits", () => {
    const full = parseRing(ring({ keys: [key(2 ** 32 - 1, { key: keyOf(1) })] }));
    expect(() => withNewVersion(full, NOW)).toThrow(RangeError);
  });
});

function catching(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  throw new Error("It was expected to throw");
}
