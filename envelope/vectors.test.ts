/** Every golden vector: the accepted ones open, and come out the same when sealed again; the others fail as they must. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { encodePairs } from "./bytes.ts";
import { openDataKey, sealDataKey } from "./datakey.ts";
import {
  bodyIdOf,
  bucketKeyIdOf,
  type Contents,
  type Kind,
  openEnvelope,
  type Place,
  sealEnvelope,
} from "./envelope.ts";
import type { EnvelopeCode } from "./failure.ts";
import { footer, openPartList, type PartList, placeParts, sealPartList, splitFooter } from "./parts.ts";
import { type BucketKeyRecord, checkBucketKey, encodeBucketKeyRecord, parseBucketKeyRecord } from "./record.ts";
import { type BodySpec, createOpener, createSealer, runSeal } from "./segment.ts";
import { openSmall, sealSmall } from "./small.ts";
import { bucketKeyContext } from "./wrapcontext.ts";

// Salts come from one function, and nowhere does a caller choose one. So the vectors stand in for that function.
const salts = vi.hoisted((): Uint8Array[] => []);
vi.mock("./random.ts", () => ({
  freshBytes: (byteCount: number) => {
    const salt = salts.shift();
    expect(salt).toHaveLength(byteCount);
    return salt;
  },
}));

interface Vectors<Accepted, Rejected> {
  readonly accepted: readonly (Accepted & { readonly name: string })[];
  readonly rejected: readonly (Rejected & { readonly name: string; readonly failure: EnvelopeCode })[];
}

type Hex = string;
type Plain = Hex | { readonly bytes: number };
interface Body {
  readonly dataKey: Hex;
  readonly bodyId: Hex;
}

beforeEach(() => {
  salts.length = 0;
});

describe("bodies", () => {
  const vectors = load<
    Body & Pick<BodySpec, "suite" | "chunkLog2" | "partNumber"> & SealedBody,
    Body & { readonly head: Hex; readonly plainBytes: number; readonly segment: Hex }
  >("bodies");
  interface SealedBody {
    readonly salt: Hex;
    readonly plain: Plain;
    readonly segment?: Hex;
    readonly header?: Hex;
    readonly segmentSha256?: Hex;
  }

  test.each(vectors.accepted)("$name", (vector) => {
    salts.push(bytes(vector.salt));
    const { suite, chunkLog2, partNumber } = vector;
    const ids = { dataKey: bytes(vector.dataKey), bodyId: bytes(vector.bodyId) };
    const sealer = createSealer({ suite, chunkLog2, partNumber, ...ids });
    const plain = plaintext(vector.plain);
    const segment = Buffer.concat([sealer.header, ...runSeal(sealer.next([plain], true))]);
    if (vector.segment === undefined) {
      expect(hex(segment.subarray(0, 64))).toBe(vector.header);
      expect(sha256(segment)).toBe(vector.segmentSha256);
    } else {
      expect(hex(segment)).toBe(vector.segment);
    }
    const stored = { ...ids, head: segment.subarray(0, 32), plainBytes: plain.length, storedBytes: segment.length };
    expect(readWhole(stored, segment).equals(plain)).toBe(true);
  });

  test.each(vectors.rejected)("$name: $failure", (vector) => {
    const segment = bytes(vector.segment);
    const { plainBytes } = vector;
    const ids = { dataKey: bytes(vector.dataKey), bodyId: bytes(vector.bodyId) };
    const stored = { ...ids, head: bytes(vector.head), plainBytes, storedBytes: segment.length };
    expect(() => readWhole(stored, segment)).toThrow(failing(vector.failure));
  });
});

describe("data keys", () => {
  interface Sealed {
    readonly otherKey: Hex;
    readonly bucketKeyId: Hex;
    readonly bodyId: Hex;
    readonly segment: Hex;
  }
  const vectors = load<Sealed & { readonly dataKey: Hex; readonly salt: Hex }, Sealed>("data-keys");
  const open = (vector: Sealed) =>
    openDataKey(bytes(vector.segment), bytes(vector.otherKey), bytes(vector.bucketKeyId), bytes(vector.bodyId));

  test.each(vectors.accepted)("$name", (vector) => {
    salts.push(bytes(vector.salt));
    const { dataKey, otherKey, bucketKeyId, bodyId } = vector;
    expect(hex(sealDataKey(bytes(dataKey), bytes(otherKey), bytes(bucketKeyId), bytes(bodyId)))).toBe(vector.segment);
    expect(hex(open(vector))).toBe(dataKey);
  });

  test.each(vectors.rejected)("$name: $failure", (vector) => {
    expect(() => open(vector)).toThrow(failing(vector.failure));
  });
});

describe("envelopes", () => {
  interface Sealed {
    readonly place: Place;
    readonly bucketKey: Hex;
    readonly envelope: Hex;
  }
  type Accepted = Sealed & { bucketKeyId: Hex; bodyId: Hex; salt: Hex; contents: Record<string, unknown> };
  const vectors = load<Accepted, Sealed>("envelopes");

  test.each(vectors.accepted)("$name", (vector) => {
    salts.push(bytes(vector.salt));
    const [envelope, bucketKey] = [bytes(vector.envelope), bytes(vector.bucketKey)];
    const contents = withBytes(vector.contents) as Contents<Kind>;
    const ids = [bytes(vector.bucketKeyId), bytes(vector.bodyId)] as const;
    expect(hex(sealEnvelope(vector.place, contents, ...ids, bucketKey))).toBe(vector.envelope);
    expect(withHex(openEnvelope(envelope, vector.place, bucketKey))).toEqual(vector.contents);
    expect(hex(bucketKeyIdOf(envelope))).toBe(vector.bucketKeyId);
    expect(hex(bodyIdOf(envelope))).toBe(vector.bodyId);
  });

  test.each(vectors.rejected)("$name: $failure", (vector) => {
    const open = () => openEnvelope(bytes(vector.envelope), vector.place, bytes(vector.bucketKey));
    expect(open).toThrow(failing(vector.failure));
  });
});

describe("part lists", () => {
  interface Accepted extends Body {
    readonly salt: Hex;
    readonly list: Record<string, unknown>;
    readonly footer: Hex;
    readonly objectSha256?: Hex;
  }
  interface Rejected extends Body {
    readonly head?: Hex;
    readonly storedBytes: number;
    readonly footer: Hex;
  }
  const vectors = load<Accepted, Rejected>("part-lists");

  test.each(vectors.accepted)("$name", (vector) => {
    salts.push(bytes(vector.salt));
    const [dataKey, bodyId, tail] = [bytes(vector.dataKey), bytes(vector.bodyId), bytes(vector.footer)];
    const list = withBytes(vector.list) as PartList;
    expect(hex(Buffer.concat(footer(sealPartList(list, dataKey, bodyId))))).toBe(vector.footer);
    const { partList, footerBytes } = splitFooter(tail, Number.MAX_SAFE_INTEGER);
    expect(footerBytes).toBe(tail.length);
    expect(withHex(openPartList(partList as Uint8Array, undefined, dataKey, bodyId))).toEqual(vector.list);
  });

  test("the whole object of two parts and a footer", () => {
    const [vector] = vectors.accepted;
    const spec = { suite: "AES-256-GCM", chunkLog2: 16, ...bodyOf(vector as Accepted) } as const;
    const parts = [
      { partNumber: 1, saltByte: 0x21, plain: plaintext({ bytes: 70_000 }) },
      { partNumber: 3, saltByte: 0x23, plain: plaintext("68656c6c6f") },
    ].map(({ partNumber, saltByte, plain }) => {
      salts.push(new Uint8Array(16).fill(saltByte));
      const sealer = createSealer({ ...spec, partNumber });
      return Buffer.concat([sealer.header, ...runSeal(sealer.next([plain], true))]);
    });
    const whole = Buffer.concat([...parts, bytes((vector as Accepted).footer)]);
    expect(sha256(whole)).toBe(vector?.objectSha256);
  });

  test.each(vectors.rejected)("$name: $failure", (vector) => {
    const open = () => {
      const head = vector.head === undefined ? undefined : bytes(vector.head);
      const { dataKey, bodyId } = bodyOf(vector);
      const { partList, footerBytes } = splitFooter(bytes(vector.footer), vector.storedBytes);
      placeParts(openPartList(partList as Uint8Array, head, dataKey, bodyId), vector.storedBytes, footerBytes);
    };
    expect(open).toThrow(failing(vector.failure));
  });
});

describe("bucket-key records", () => {
  interface Local {
    readonly ringKey: Hex;
    readonly salt: Hex;
    readonly wrapContext: Readonly<Record<string, string>>;
  }
  interface Stored {
    readonly bucketKey: Hex;
    readonly bytes: Hex;
  }
  const vectors = load<Stored & { record: Record<string, unknown>; local?: Local }, Stored>("bucket-keys");

  test.each(vectors.accepted)("$name", (vector) => {
    const bucketKey = bytes(vector.bucketKey);
    const record = withBytes(vector.record) as BucketKeyRecord;
    expect(hex(encodeBucketKeyRecord(record, bucketKey))).toBe(vector.bytes);
    expect(withHex(parseBucketKeyRecord(bytes(vector.bytes)))).toEqual(vector.record);
    expect(() => checkBucketKey(bytes(vector.bytes), bucketKey)).not.toThrow();
    if (vector.local !== undefined) {
      const { ringKey, salt, wrapContext } = vector.local;
      expect(bucketKeyContext(record.storeId, record.bucket, record.id, record.context)).toEqual(wrapContext);
      const [head, wrapped] = [record.wrapped.bytes.subarray(0, 20), record.wrapped.bytes.subarray(20)];
      const context = [head, encodePairs(Object.entries(wrapContext))];
      salts.push(bytes(salt));
      expect(hex(sealSmall("local-wrap", bytes(ringKey), context, bucketKey))).toBe(hex(wrapped));
      expect(hex(openSmall("local-wrap", bytes(ringKey), context, wrapped))).toBe(vector.bucketKey);
    }
  });

  test.each(vectors.rejected)("$name: $failure", (vector) => {
    const open = () => {
      parseBucketKeyRecord(bytes(vector.bytes));
      checkBucketKey(bytes(vector.bytes), bytes(vector.bucketKey));
    };
    expect(open).toThrow(failing(vector.failure));
  });
});

function load<Accepted, Rejected>(name: string): Vectors<Accepted, Rejected> {
  return JSON.parse(readFileSync(new URL(`vectors/${name}.json`, import.meta.url), "utf8"));
}

function failing(code: EnvelopeCode) {
  return expect.objectContaining({ name: "EnvelopeError", code });
}

function bytes(text: Hex): Buffer {
  return Buffer.from(text, "hex");
}

function hex(value: Uint8Array): Hex {
  return Buffer.from(value).toString("hex");
}

function sha256(value: Uint8Array): Hex {
  return createHash("sha256").update(value).digest("hex");
}

function bodyOf(vector: Body) {
  return { dataKey: bytes(vector.dataKey), bodyId: bytes(vector.bodyId) };
}

function plaintext(plain: Plain): Buffer {
  return typeof plain === "string" ? bytes(plain) : Buffer.from(Array.from({ length: plain.bytes }, (_, i) => i % 251));
}

function readWhole(stored: Parameters<typeof createOpener>[0], segment: Uint8Array): Buffer {
  const reader = createOpener(stored).read(0, stored.plainBytes);
  const plain = reader.push(segment.subarray(reader.storedFromByte, reader.storedToByte));
  reader.end();
  return Buffer.concat(plain);
}

const TEXT = [
  "mode",
  "shown",
  "algorithm",
  "checksumAlgorithm",
  "provider",
  "kmsKeyId",
  "version",
  "settings",
  "bucket",
];
const PAIRS = ["headers", "tags", "context"];

/** Fields as they stand in JSON, with bytes in place of hex. */
function withBytes(value: unknown, name = ""): unknown {
  if (typeof value === "string") {
    return TEXT.includes(name) ? value : bytes(value);
  }
  if (typeof value !== "object" || value === null || PAIRS.includes(name)) {
    return value;
  }
  return Array.isArray(value)
    ? value.map((item) => withBytes(item))
    : Object.fromEntries(Object.entries(value).map(([member, inner]) => [member, withBytes(inner, member)]));
}

/** Fields as they would stand in JSON. */
function withHex(value: unknown): unknown {
  if (value instanceof Uint8Array) {
    return hex(value);
  }
  if (value instanceof Map) {
    return [...value];
  }
  if (typeof value !== "object" || value === null) {
    return value;
  }
  return Array.isArray(value)
    ? value.map(withHex)
    : Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, withHex(inner)]));
}
