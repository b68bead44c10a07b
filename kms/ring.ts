// The key ring of the Local provider (FORMAT.md): its JSON, both ways, and what may be done to it. Pure, but for the
// randomness of new keys. Where a ring is kept is a RingHolder's: ring-file.ts, or whoever holds it elsewhere.

import Type from "typebox";
import { Compile } from "typebox/compile";
import { freshBytes } from "../envelope/random.ts";
import { type Problem, printProblems, problemsBySchema } from "./problems.ts";
import { Secret } from "./secret.ts";

/** Versions ascend; the last wraps, and is enabled. */
export interface Ring {
  /** 16 bytes in lower-case hex: the KMS key id of all that the ring wraps. */
  readonly id: string;
  readonly keys: readonly RingKey[];
}

export interface RingKey {
  readonly version: number;
  readonly key: Secret<Uint8Array>;
  /** RFC 3339, as it was written. */
  readonly created: string;
  readonly state: "enabled" | "disabled";
}

/** Where a ring is kept. Both reject with what the medium says; `read` with RingInvalid for what is no ring. */
export interface RingHolder {
  /** undefined only if there is none for certain. */
  read(signal: AbortSignal): Promise<{ ring: Ring; tag: RingTag } | undefined>;
  /** Durable when it resolves; RingChanged if what is kept is no longer `ifTag`. */
  replace(ring: Ring, ifTag: RingTag | "absent", signal: AbortSignal): Promise<RingTag>;
}

/** Names one state of what a holder keeps. */
export type RingTag = string;

/** Somebody else wrote the ring meanwhile: read it again, judge again. */
export class RingChanged extends Error {
  override readonly name = "RingChanged";

  constructor() {
    super("The key ring was changed meanwhile");
  }
}

/** What should be a ring is none. The message names every problem and no key. */
export class RingInvalid extends Error {
  override readonly name = "RingInvalid";
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(`The key ring is not valid: ${printProblems(problems)}`);
    this.problems = problems;
  }
}

const FORMAT = "coffer-ring-1";
const KEY_BYTES = 32;
const ID_BYTES = 16;
const VERSION_MAX = 2 ** 32 - 1;
const KEYS_MAX = 10_000;
const RFC_3339 = "^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}(\\.\\d{1,9})?(Z|[+-]\\d{2}:\\d{2})$";

/** The shape of the JSON. What stands between its members is checked by `parseRing`. */
export const RingSchema = Type.Object(
  {
    format: Type.Literal(FORMAT),
    id: Type.String({ pattern: `^[0-9a-f]{${2 * ID_BYTES}}$` }),
    keys: Type.Array(
      Type.Object(
        {
          version: Type.Integer({ minimum: 1, maximum: VERSION_MAX }),
          key: Type.String({ pattern: "^[A-Za-z0-9+/]{43}=$" }),
          created: Type.String({ pattern: RFC_3339 }),
          state: Type.Enum(["enabled", "disabled"]),
        },
        { additionalProperties: false },
      ),
      { minItems: 1, maxItems: KEYS_MAX },
    ),
  },
  { additionalProperties: false },
);

/** The ring as JSON, with its keys in the clear: for a Secret, a 0600 file or the configuration, and nowhere else. */
export type RingJson = Type.Static<typeof RingSchema>;

const validator = Compile(RingSchema);

/** A new ring with one enabled version. */
export function createRing(now: Date): Ring {
  return { id: Buffer.from(freshBytes(ID_BYTES)).toString("hex"), keys: [newKey(1, now)] };
}

/** The ring with one version more, which wraps from now on. */
export function withNewVersion(ring: Ring, now: Date): Ring {
  const next = newestKey(ring).version + 1;
  if (next > VERSION_MAX) throw new RangeError("A key ring cannot have more versions");
  return { id: ring.id, keys: [...ring.keys, newKey(next, now)] };
}

/** The ring in which `version` no longer unwraps. The caller has made sure that it exists and is not the newest. */
export function withDisabledVersion(ring: Ring, version: number): Ring {
  return {
    id: ring.id,
    keys: ring.keys.map((key) => (key.version === version ? { ...key, state: "disabled" } : key)),
  };
}

/** The version that wraps. */
export function newestKey(ring: Ring): RingKey {
  const newest = ring.keys.at(-1);
  if (newest === undefined) throw new RingInvalid([{ at: "/keys", problem: "must not be empty" }]);
  return newest;
}

/** Everything that is wrong with `value` as a ring; empty if it is one. `at` is where it stands in its document. */
export function ringProblems(value: unknown, at: string): Problem[] {
  const byShape = problemsBySchema(validator, value, at);
  return byShape.length > 0 ? byShape : problemsBetweenMembers(value as RingJson, at);
}

/** The ring that parsed JSON describes. Throws RingInvalid with all problems at once. */
export function parseRing(value: unknown): Ring {
  const problems = ringProblems(value, "");
  if (problems.length > 0) throw new RingInvalid(problems);
  const json = value as RingJson;
  return {
    id: json.id,
    keys: json.keys.map(({ version, key, created, state }) => ({ version, key: secretOf(key), created, state })),
  };
}

/** The ring that a text holds. Throws RingInvalid, for text that is not JSON too. */
export function parseRingText(text: string): Ring {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's own message quotes what it read, which may be a key.
    throw new RingInvalid([{ at: "", problem: "is not JSON" }]);
  }
  return parseRing(value);
}

/** The inverse of `parseRing`. Reveals the keys. */
export function printRing(ring: Ring): RingJson {
  return {
    format: FORMAT,
    id: ring.id,
    keys: ring.keys.map(({ version, key, created, state }) => ({
      version,
      key: Buffer.from(key.reveal()).toString("base64"),
      created,
      state,
    })),
  };
}

function problemsBetweenMembers(json: RingJson, at: string): Problem[] {
  const problems: Problem[] = [];
  const seen = new Set<string>();
  let versionBefore = 0;
  for (const [index, { version, key, created }] of json.keys.entries()) {
    const place = `${at}/keys/${index}`;
    if (version <= versionBefore)
      problems.push({ at: `${place}/version`, problem: "must be above the version before" });
    if (!isCanonicalBase64(key)) problems.push({ at: `${place}/key`, problem: "must be the base64 of 32 bytes" });
    if (seen.has(key)) problems.push({ at: `${place}/key`, problem: "is the key of another version" });
    if (!isDate(created)) problems.push({ at: `${place}/created`, problem: "must be a date and time of RFC 3339" });
    seen.add(key);
    versionBefore = version;
  }
  if (json.keys.at(-1)?.state !== "enabled") {
    problems.push({
      at: `${at}/keys/${json.keys.length - 1}/state`,
      problem: "must be enabled: the highest version wraps",
    });
  }
  return problems;
}

/** Rejects the spellings in which unused bits are set, so that a ring has one spelling. */
function isCanonicalBase64(text: string): boolean {
  const bytes = Buffer.from(text, "base64");
  return bytes.byteLength === KEY_BYTES && bytes.toString("base64") === text;
}

function isDate(text: string): boolean {
  const [year, month, day] = text.slice(0, 10).split("-").map(Number);
  const date = new Date(`${text.slice(0, 10)}T00:00:00Z`);
  // Date rolls the 31st of a short month over into the next.
  const isDay = date.getUTCFullYear() === year && date.getUTCMonth() + 1 === month && date.getUTCDate() === day;
  return isDay && !Number.isNaN(Date.parse(text));
}

function newKey(version: number, now: Date): RingKey {
  return {
    version,
    key: new Secret(freshBytes(KEY_BYTES)),
    created: now.toISOString(),
    state: "enabled",
  };
}

function secretOf(base64: string): Secret<Uint8Array> {
  return new Secret(new Uint8Array(Buffer.from(base64, "base64")));
}
