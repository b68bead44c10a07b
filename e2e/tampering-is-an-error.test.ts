// Whoever can write to the volume changes what lies there, while the store runs: every read of what was changed is an
// error or a broken connection; never wrong bytes, never a clean end, and never "not there". What did not change still reads.

import { copyFileSync, readFileSync, unlinkSync } from "node:fs";
import type { SQLInputValue } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BUCKET, DataPlane, newPair, newRing } from "./dataplane.ts";
import { Draw } from "./draw.ts";
import { waitFor } from "./harness.ts";
import { bodyOf } from "./load.ts";
import { type Answer, S3, describe as shown } from "./s3.ts";
import { bytesOf, flipped, type Row, Tampering, type Undo } from "./tampering.ts";

const OTHER_BUCKET = "documents";
const ACTS_MS = 60_000;
const CHUNK = 65_536;
const SEALED_CHUNK = CHUNK + 16;
const HEAD = 64;
const SMALL = bodyOf("100-small");
const OTHER = bodyOf("100-other");
const LARGE = bodyOf(`${4 * CHUNK + 1000}-large`);
const LARGE_OTHER = bodyOf(`${4 * CHUNK + 1000}-other`);
const PART = 5 * 1024 * 1024;
const PARTED = bodyOf(`${PART + 100_000}-parted`);
const HEADERS = { "content-type": "text/plain", "x-amz-meta-colour": "green" };

let plane: DataPlane;
let s3: S3;
let others: S3;
let tampering: Tampering;
const draw = new Draw();

/** One way to read an object, or the listing that it stands in. */
interface Reading {
  readonly what: string;
  readonly from: number;
  readonly to: number;
  ask(): Promise<Answer>;
}

type Kind = "get" | "head" | "list";

interface Subject {
  readonly name: string;
  readonly body: Uint8Array;
  readonly readings: readonly (Reading & { readonly kind: Kind; readonly whole: Answer })[];
}

const subjects = new Map<string, Subject>();

function readingsOf(name: string, body: Uint8Array): readonly (Reading & { readonly kind: Kind })[] {
  const range = (from: number, to: number) => ({
    what: `bytes ${from} to ${to} of "${name}"`,
    kind: "get" as const,
    from,
    to,
    ask: () => s3.get(name, { range: `bytes=${from}-${to - 1}` }),
  });
  const bytes = body.length;
  const middle = Math.floor(bytes / 2);
  return [
    { what: `"${name}"`, kind: "get", from: 0, to: bytes, ask: () => s3.get(name) },
    range(0, 1),
    range(middle, middle + 10),
    range(bytes - 1, bytes),
    { what: `the head of "${name}"`, kind: "head", from: 0, to: 0, ask: () => s3.head(name) },
    {
      what: `the listing with "${name}"`,
      kind: "list",
      from: 0,
      to: 0,
      ask: () => s3.send("GET", undefined, { query: `list-type=2&prefix=${encodeURIComponent(name)}` }),
    },
  ];
}

async function prepare(name: string, body: Uint8Array): Promise<void> {
  const readings: Subject["readings"][number][] = [];
  for (const reading of readingsOf(name, body)) {
    const whole = await reading.ask();
    if (whole.status >= 300 || whole.broken) throw new Error(`${reading.what} cannot be read`);
    if (reading.kind === "get") expect(Buffer.compare(whole.body, body.subarray(reading.from, reading.to))).toBe(0);
    readings.push({ ...reading, whole });
  }
  subjects.set(name, { name, body, readings });
}

function subject(name: string): Subject {
  const found = subjects.get(name);
  if (found === undefined) throw new Error(`Nobody has prepared "${name}"`);
  return found;
}

const SHOWN = [
  "etag",
  "content-length",
  "content-type",
  "content-range",
  "last-modified",
  "x-amz-meta-colour",
] as const;

function isAsBefore(answer: Answer, whole: Answer): boolean {
  const sameHead =
    answer.status === whole.status && SHOWN.every((name) => answer.headers[name] === whole.headers[name]);
  return !answer.broken && sameHead && Buffer.compare(answer.body, whole.body) === 0;
}

/** An error before the first byte, or the right first bytes and a connection that breaks. */
function isError(answer: Answer, whole: Answer): boolean {
  if (answer.status >= 500) return true;
  const isBeginning = Buffer.compare(answer.body, whole.body.subarray(0, answer.body.length)) === 0;
  return answer.broken && answer.status === whole.status && isBeginning;
}

type MustFail = (reading: Subject["readings"][number]) => boolean;

const everything: MustFail = () => true;
const everyGet: MustFail = ({ kind }) => kind === "get";
const whole: MustFail = ({ kind, from, to }) => kind === "get" && to - from > 10;

/** Makes a change, reads in every way, takes it back. What must fail fails; all else fails too, or is as it was before. */
async function tamper(
  name: string,
  what: string,
  change: () => Undo,
  mustFail: MustFail,
  kinds: readonly Kind[] = ["get", "head", "list"],
): Promise<void> {
  const readings = subject(name).readings.filter(({ kind }) => kinds.includes(kind));
  const undo = change();
  try {
    const answers = await Promise.all(readings.map((reading) => reading.ask()));
    for (const [at, answer] of answers.entries()) {
      const reading = readings[at];
      if (reading === undefined) continue;
      const good = isError(answer, reading.whole) || (!mustFail(reading) && isAsBefore(answer, reading.whole));
      if (!good) {
        const { status, broken, body } = answer;
        const shown = {
          change: what,
          read: reading.what,
          status,
          broken,
          body: body.subarray(0, 300).toString("latin1"),
        };
        expect(shown).toBe("an error");
      }
    }
  } finally {
    undo();
  }
}

/** All that was changed has been taken back. */
async function expectWhole(): Promise<void> {
  for (const { readings } of subjects.values()) {
    for (const reading of readings) {
      const answer = await reading.ask();
      if (isAsBefore(answer, reading.whole)) continue;
      expect({ read: reading.what, answer: shown(answer) }).toBe("as before");
    }
  }
}

async function putParts(): Promise<void> {
  const uploadId = await s3.createUpload("parted", HEADERS);
  // An earlier attempt of the second part stays as a file of its own, and so does what it was sealed with.
  await s3.uploadPart("parted", uploadId, 2, PARTED.subarray(PART));
  earlier = tampering.row("parts", "number = 2");
  copyFileSync(tampering.fileOf(earlier), `${plane.folder}/earlier`);
  const etags = [
    await s3.uploadPart("parted", uploadId, 1, PARTED.subarray(0, PART)),
    await s3.uploadPart("parted", uploadId, 2, PARTED.subarray(PART)),
  ];
  expect((await s3.complete("parted", uploadId, etags)).status).toBe(200);
}

let earlier: Row;

beforeAll(async () => {
  plane = await DataPlane.create();
  const { wish } = plane;
  const [bucket, ring] = [wish.buckets[BUCKET], wish.rings["local"]];
  if (bucket === undefined || ring === undefined) throw new Error("The configuration has no bucket");
  plane.configure({
    ...wish,
    rings: { local: ring, second: newRing() },
    buckets: { [BUCKET]: bucket, [OTHER_BUCKET]: { ...bucket, pair: newPair() } },
    cacheTtlMs: 0,
  });
  await plane.start();
  s3 = new S3(plane);
  others = new S3(plane, OTHER_BUCKET);
  tampering = new Tampering(plane.dataDir);
  const objects = { small: SMALL, other: OTHER, large: LARGE, largeOther: LARGE_OTHER, empty: new Uint8Array() };
  for (const [name, body] of Object.entries(objects)) expect((await s3.put(name, body, HEADERS)).status).toBe(200);
  expect((await others.put("small", SMALL, HEADERS)).status).toBe(200);
  await putParts();
  for (const [name, body] of Object.entries({ small: SMALL, large: LARGE, parted: PARTED })) await prepare(name, body);
});
afterAll(async () => {
  tampering?.close();
  await plane?.remove();
});

function eachByte(bytes: number): readonly { readonly at: number; readonly mask: number }[] {
  return Array.from({ length: bytes }, (_, at) => ({ at, mask: 1 << draw.below(8) }));
}

describe("a flipped bit", () => {
  it("in any byte of a small object's envelope", async () => {
    const row = tampering.record("small");
    expect(tampering.knows("records", row)).toBe(true);
    for (const { at, mask } of eachByte(bytesOf(row["envelope"]).length)) {
      const envelope = flipped(row["envelope"], at, mask);
      await tamper(
        "small",
        `byte ${at} of the envelope`,
        () => tampering.change("records", row, { envelope }),
        everything,
      );
    }
    await expectWhole();
  });

  it("in any byte of its row, as it lies in the index's file", async () => {
    const row = tampering.record("small");
    const envelope = bytesOf(row["envelope"]);
    const place = await placeThatCounts(envelope);
    // In this order: a header with the sizes of all columns; bucket, name, tag, numbers; the envelope; the checksum.
    const numbers = ["modified", "stored", "inline"].reduce((sum, column) => sum + widthOf(row[column]), 0);
    const columns = place - numbers - Buffer.byteLength(`${row["tag"]}small${row["bucket"]}`);
    for (let at = columns - 12; at < place + envelope.length + widthOf(row["crc"]); at += 1) {
      const mustFail = at < columns ? () => false : everything;
      const change = () => tampering.flipInIndex(at, 1 << draw.below(8));
      await tamper("small", `byte ${at - place} of the row`, change, mustFail);
    }
    await expectWhole();
  });

  it("in a number of its record, with and without a checksum that fits", async () => {
    const row = tampering.record("small");
    for (const column of ["modified", "stored", "inline", "crc"]) {
      for (let bit = 0; bit < 40; bit += 3) {
        const changed = { [column]: Number(BigInt(Number(row[column])) ^ (1n << BigInt(bit))) };
        await tamper("small", `bit ${bit} of ${column}`, () => tampering.damage("records", row, changed), everything);
        if (column === "crc") continue;
        // The time of a row is nobody's proof: answers take theirs from the envelope.
        const mustFail = column === "modified" ? () => false : everyGet;
        await tamper("small", `bit ${bit} of ${column}`, () => tampering.change("records", row, changed), mustFail);
      }
    }
    await expectWhole();
  });

  it("in any byte of a small object's body", async () => {
    const row = tampering.row("bodies", "id = ?", tampering.record("small")["inline"] ?? null);
    for (const { at, mask } of eachByte(bytesOf(row["bytes"]).length)) {
      const bytes = flipped(row["bytes"], at, mask);
      await tamper("small", `byte ${at} of the body`, () => tampering.change("bodies", row, { bytes }), everyGet);
    }
    await expectWhole();
  });

  it("in a large object's file: its header, every edge of a chunk, its end, and in between", async () => {
    const path = tampering.fileOf(tampering.record("large"));
    const stored = readFileSync(path).length;
    const places = new Set(Array.from({ length: HEAD }, (_, at) => at));
    for (let edge = HEAD; edge < stored; edge += SEALED_CHUNK) {
      for (const by of [-17, -16, -1, 0, 1, CHUNK - 1, CHUNK]) places.add(edge + by);
    }
    for (const at of [stored - 17, stored - 16, stored - 1]) places.add(at);
    for (let sample = 0; sample < 30; sample += 1) places.add(draw.below(stored));
    for (const at of [...places].filter((place) => place < stored)) {
      const chunk = Math.floor((at - HEAD) / SEALED_CHUNK);
      const touched: MustFail = ({ kind, from, to }) =>
        kind === "get" && (at < HEAD ? to - from === LARGE.length : from < (chunk + 1) * CHUNK && to > chunk * CHUNK);
      await tamper("large", `byte ${at} of the file`, () => tampering.flip(path, at, 1 << draw.below(8)), touched);
    }
    await expectWhole();
  });

  it("in a multipart object: its part list, and the headers and ends of its parts", async () => {
    const list = tampering.row("lists", "id = ?", tampering.record("parted")["list"] ?? null);
    for (const { at, mask } of eachByte(bytesOf(list["tail"]).length)) {
      const tail = flipped(list["tail"], at, mask);
      await tamper("parted", `byte ${at} of the part list`, () => tampering.change("lists", list, { tail }), everyGet);
    }
    for (const piece of tampering.rows("pieces", "list = ?", list["id"] ?? null)) {
      const path = tampering.fileOf(piece);
      for (const at of [0, 5, 11, 20, 40, HEAD, Number(piece["stored"]) - 1]) {
        await tamper("parted", `byte ${at} of ${path}`, () => tampering.flip(path, at, 4), whole);
      }
    }
    await expectWhole();
  });
});

/** Bytes that a number takes in a row. */
function widthOf(value: SQLInputValue | undefined): number {
  const number = Number(value);
  if (number === 0 || number === 1) return 0;
  return [1, 2, 3, 4, 6].find((bytes) => number < 2 ** (8 * bytes - 1)) ?? 8;
}

/** Pages that were freed may hold the same bytes: the place is the one whose change is seen. */
async function placeThatCounts(bytes: Uint8Array): Promise<number> {
  for (const place of tampering.placesInIndex(bytes)) {
    const undo = tampering.flipInIndex(place + 50, 1);
    const { status } = await s3.head("small");
    undo();
    if (status === 500) return place;
  }
  throw new Error("The row is nowhere in the index's file");
}

describe("a body that was cut", () => {
  it.each([0, 1, HEAD - 1, HEAD, HEAD + 15, HEAD + SEALED_CHUNK, HEAD + 4 * SEALED_CHUNK, -17, -16, -1])(
    "at byte %i of its file, the record as it was or made to fit",
    async (end) => {
      const row = tampering.record("large");
      const path = tampering.fileOf(row);
      const bytes = end < 0 ? Number(row["stored"]) + end : end;
      await tamper("large", "cut", () => tampering.truncate(path, bytes), whole);
      const both = (): Undo => {
        const [file, record] = [tampering.truncate(path, bytes), tampering.change("records", row, { stored: bytes })];
        return () => {
          record();
          file();
        };
      };
      // The length is sealed: no range of what is left is given out, and HEAD and LIST look at it too.
      await tamper("large", "cut, and said so", both, everyGet);
    },
  );

  it("in the index", async () => {
    const row = tampering.record("small");
    const body = tampering.row("bodies", "id = ?", row["inline"] ?? null);
    for (let bytes = 0; bytes < Number(row["stored"]); bytes += 7) {
      const cut = bytesOf(body["bytes"]).slice(0, bytes);
      await tamper("small", `cut at ${bytes}`, () => tampering.change("bodies", body, { bytes: cut }), everyGet);
      const both = (): Undo => {
        const undo = [
          tampering.change("bodies", body, { bytes: cut }),
          tampering.change("records", row, { stored: bytes }),
        ];
        return () => {
          for (const one of undo) one();
        };
      };
      await tamper("small", `cut at ${bytes}, and said so`, both, everyGet);
    }
  });

  it("that has gone altogether", async () => {
    const small = tampering.record("small");
    const body = tampering.row("bodies", "id = ?", small["inline"] ?? null);
    await tamper("small", "no body", () => tampering.exchange("bodies", [body], []), everyGet);
    const none = { inline: null, stored: 0 };
    await tamper("small", "no body, and said so", () => tampering.change("records", small, none), everyGet);
    const path = tampering.fileOf(tampering.record("large"));
    const gone = (): Undo => {
      copyFileSync(path, `${plane.folder}/kept`);
      unlinkSync(path);
      return () => copyFileSync(`${plane.folder}/kept`, path);
    };
    await tamper("large", "no file", gone, everyGet);
    const list = tampering.row("lists", "id = ?", tampering.record("parted")["list"] ?? null);
    await tamper("parted", "no list", () => tampering.exchange("lists", [list], []), everyGet);
    await expectWhole();
  });
});

describe("what belongs elsewhere", () => {
  it("another object's body, envelope or record", async () => {
    const [small, other] = [tampering.record("small"), tampering.record("other")];
    const [large, largeOther] = [tampering.record("large"), tampering.record("largeOther")];
    const change = (row: Row, columns: Row) => () => tampering.change("records", row, columns);
    const place = ({ inline, file, list, stored }: Row): Row => ({
      inline: inline ?? null,
      file: file ?? null,
      list: list ?? null,
      stored: stored ?? null,
    });
    await tamper("small", "another's body", change(small, place(other)), everyGet);
    await tamper("large", "another's body", change(large, place(largeOther)), everyGet);
    await tamper("small", "another's envelope", change(small, { envelope: other["envelope"] ?? null }), everything);
    await tamper("small", "another's record", change(small, { ...other, name: small["name"] ?? null }), everything);
    await tamper(
      "large",
      "another's record",
      change(large, { ...largeOther, name: large["name"] ?? null }),
      everything,
    );
    await expectWhole();
  });

  it("a record of another bucket under the same name", async () => {
    const [mine, theirs] = [tampering.record("small"), tampering.record("small", OTHER_BUCKET)];
    await tamper(
      "small",
      "another bucket's",
      () => tampering.change("records", mine, { ...theirs, bucket: BUCKET }),
      everything,
    );
  });

  it("a record under a name that it does not belong to is no object there, and fails the listing", async () => {
    const small = tampering.record("small");
    const undo = tampering.exchange("records", [], [{ ...small, name: Buffer.from("smalk") }]);
    for (const answer of [await s3.get("smalk"), await s3.head("smalk")]) expect(answer.status).toBe(500);
    const listing = await s3.send("GET", undefined, { query: "list-type=2&prefix=smal" });
    expect(listing.status).toBe(500);
    undo();
    await expectWhole();
  });

  it("an older envelope with a newer body, and a newer one with an older", async () => {
    const before = tampering.record("other");
    const beforeBody = tampering.row("bodies", "id = ?", before["inline"] ?? null);
    expect((await s3.put("other", bodyOf("100-newer"), HEADERS)).status).toBe(200);
    await prepare("other", bodyOf("100-newer"));
    const now = tampering.record("other");
    const nowBody = tampering.row("bodies", "id = ?", now["inline"] ?? null);
    const older = { envelope: before["envelope"] ?? null };
    // HEAD and LIST read no more than the envelope, which is whole: they say what it says.
    await tamper("other", "an older envelope", () => tampering.change("records", now, older), everyGet, ["get"]);
    const bytes = { bytes: beforeBody["bytes"] ?? null };
    await tamper("other", "an older body", () => tampering.change("bodies", nowBody, bytes), everyGet);
  });

  it("parts swapped, dropped, repeated or moved", async () => {
    const list = tampering.record("parted")["list"] ?? null;
    const pieces = tampering.rows("pieces", "list = ?", list);
    const [first, second] = pieces;
    if (first === undefined || second === undefined) throw new Error("There are no two parts");
    const arrangements: Readonly<Record<string, readonly Row[]>> = {
      swapped: [
        { ...second, start: 0 },
        { ...first, start: second["stored"] ?? null },
      ],
      "the first dropped": [{ ...second, start: 0 }],
      "the second dropped": [first],
      "the first repeated": [first, { ...second, file: first["file"] ?? null }],
      "the second begins early": [first, { ...second, start: Number(second["start"]) - 16 }],
      "the second begins late": [first, { ...second, start: Number(second["start"]) + 16 }],
      "all dropped": [],
    };
    for (const [what, arranged] of Object.entries(arrangements)) {
      await tamper("parted", what, () => tampering.exchange("pieces", pieces, arranged), whole);
    }
    const contents = readFileSync(tampering.fileOf(first));
    await tamper(
      "parted",
      "bytes of one part in another",
      () => tampering.replace(tampering.fileOf(second), contents.subarray(0, Number(second["stored"]))),
      whole,
    );
    await expectWhole();
  });

  it("an earlier attempt of a part, sealed under the same key for the same bytes", async () => {
    const pieces = tampering.rows("pieces", "list = ?", tampering.record("parted")["list"] ?? null);
    const second = pieces[1];
    if (second === undefined) throw new Error("There is no second part");
    const attempt = readFileSync(`${plane.folder}/earlier`);
    expect(attempt.length).toBe(Number(second["stored"]));
    const inSecond: MustFail = ({ kind, to }) => kind === "get" && to > PART;
    await tamper("parted", "an earlier attempt", () => tampering.replace(tampering.fileOf(second), attempt), inSecond);
    await expectWhole();
  });

  it("a record that says it is plaintext", async () => {
    const row = tampering.record("small");
    const envelope = bytesOf(row["envelope"]);
    const field = (type: number, value: Uint8Array): Buffer => {
      const head = Buffer.alloc(5);
      head.writeUInt8(type);
      head.writeUInt32BE(value.length, 1);
      return Buffer.concat([head, value]);
    };
    const size = Buffer.alloc(8);
    size.writeBigUInt64BE(BigInt(SMALL.length));
    const fields = [
      field(1, Buffer.alloc(33)),
      field(2, Buffer.alloc(32)),
      field(3, size),
      field(4, Buffer.alloc(18)),
      field(5, Buffer.alloc(8)),
      field(6, Buffer.alloc(1)),
    ];
    const body = tampering.row("bodies", "id = ?", row["inline"] ?? null);
    const candidates: Readonly<Record<string, Uint8Array>> = {
      "fields behind the head": Buffer.concat([envelope.subarray(0, 36), ...fields]),
      "fields in the place of what was sealed": Buffer.concat([envelope.subarray(0, 100), ...fields]),
      "no body id": Buffer.concat([envelope.subarray(0, 20), Buffer.alloc(16), envelope.subarray(36)]),
      "no bucket key": Buffer.concat([envelope.subarray(0, 4), Buffer.alloc(16), envelope.subarray(20)]),
      "nothing at all": new Uint8Array(),
      "no more than a head": envelope.slice(0, 36),
    };
    for (const [what, forged] of Object.entries(candidates)) {
      const both = (): Undo => {
        const undo = [
          tampering.change("records", row, { envelope: forged, stored: SMALL.length }),
          tampering.change("bodies", body, { bytes: SMALL }),
        ];
        return () => {
          for (const one of undo) one();
        };
      };
      await tamper("small", what, both, everything);
    }
    await expectWhole();
  });
});

describe("a bucket-key record", () => {
  const keysOf = (bucket: string): readonly Row[] =>
    tampering.rows(
      "documents",
      "path > ? AND path < ?",
      Buffer.from(`bucket/${bucket}/key/`),
      Buffer.from(`bucket/${bucket}/key0`),
    );
  const only = (bucket: string): Row => {
    const [row, ...more] = keysOf(bucket);
    if (row === undefined || more.length > 0) throw new Error(`Bucket "${bucket}" has not one key`);
    return row;
  };

  it("with a flipped bit in any byte opens nothing, and is no reason to make another", async () => {
    const row = only(BUCKET);
    expect(tampering.knows("documents", row)).toBe(true);
    for (const { at, mask } of eachByte(bytesOf(row["bytes"]).length)) {
      const bytes = flipped(row["bytes"], at, mask);
      const change = () => tampering.change("documents", row, { bytes });
      await tamper("small", `byte ${at} of the bucket key's record`, change, everything);
      if (at % 16 !== 0) continue;
      const undo = change();
      expect((await s3.put("new", SMALL)).status).toBe(500);
      undo();
    }
    expect(keysOf(BUCKET)).toHaveLength(1);
    expect((await s3.get("new")).status).toBe(404);
    await expectWhole();
  });

  it("that has gone makes an error of every object, and of every write", async () => {
    const undo = tampering.exchange("documents", [only(BUCKET)], []);
    for (const answer of [await s3.get("small"), await s3.head("small"), await s3.put("new", SMALL)]) {
      expect(answer.status).toBe(500);
    }
    undo();
    expect(keysOf(BUCKET)).toHaveLength(1);
    await expectWhole();
  });

  it("of another bucket, under its own id or under ours", async () => {
    const [mine, theirs] = [only(BUCKET), only(OTHER_BUCKET)];
    const bytes = { bytes: theirs["bytes"] ?? null };
    await tamper("small", "another bucket's", () => tampering.change("documents", mine, bytes), everything);
    const id = bytesOf(mine["bytes"]).subarray(4, 20);
    const renamed = Uint8Array.from(bytesOf(theirs["bytes"]));
    renamed.set(id, 4);
    await tamper(
      "small",
      "another's under our id",
      () => tampering.change("documents", mine, { bytes: renamed }),
      everything,
    );
    const theirId = Buffer.from(bytesOf(theirs["bytes"]).subarray(4, 20)).toString("hex");
    const moved = { ...theirs, path: Buffer.from(`bucket/${BUCKET}/key/${theirId}`) };
    const beside = () => tampering.exchange("documents", [], [moved]);
    await tamper("small", "another's beside ours", beside, () => false);
    await expectWhole();
  });

  it("of another epoch", async () => {
    const first = only(OTHER_BUCKET);
    await reconfigure(OTHER_BUCKET, { minEpoch: 2 });
    await waitFor("a second epoch", ACTS_MS, async () => {
      expect((await others.put("second", SMALL)).status).toBe(200);
      return keysOf(OTHER_BUCKET).length === 2;
    });
    const second = keysOf(OTHER_BUCKET).find(({ path }) => Buffer.compare(bytesOf(path), bytesOf(first["path"])) !== 0);
    if (second === undefined) throw new Error("There is no second key");
    const swap = tampering.exchange(
      "documents",
      [first, second],
      [
        { ...first, bytes: second["bytes"] ?? null },
        { ...second, bytes: first["bytes"] ?? null },
      ],
    );
    for (const name of ["small", "second"]) {
      for (const answer of [await others.get(name), await others.head(name)]) expect(answer.status).toBe(500);
    }
    swap();
    const epoch = flipped(second["bytes"], 39, 3);
    const undo = tampering.change("documents", second, { bytes: epoch });
    expect((await others.get("second")).status).toBe(500);
    undo();
    for (const name of ["small", "second"]) expect((await others.get(name)).body.equals(SMALL)).toBe(true);
  });

  it("that only a key source opens which the configuration does not allow", async () => {
    await reconfigure(OTHER_BUCKET, { provider: "second" });
    await waitFor("the other provider", ACTS_MS, async () => (await others.get("small")).status !== 200);
    for (const answer of [await others.get("small"), await others.head("small"), await others.put("new", SMALL)]) {
      expect(answer.status).toBe(500);
    }
    expect((await others.send("GET", undefined, { query: "list-type=2" })).status).toBe(500);
    await reconfigure(OTHER_BUCKET, { provider: "local" });
    await waitFor("the first provider", ACTS_MS, async () => (await others.get("small")).status === 200);
  });
});

describe("an upload that is under way", () => {
  const each = (value: SQLInputValue | undefined) => eachByte(bytesOf(value).length).filter(({ at }) => at % 3 === 0);
  let uploadId: string;
  let etag: string;

  beforeAll(async () => {
    uploadId = await s3.createUpload("upload", HEADERS);
    etag = await s3.uploadPart("upload", uploadId, 1, SMALL);
  });

  async function expectErrors(change: () => Undo, ...ask: readonly (() => Promise<Answer>)[]): Promise<void> {
    const undo = change();
    for (const answer of await Promise.all(ask.map((one) => one()))) expect(answer.status).toBe(500);
    undo();
  }

  it("with a flipped bit in its state takes no part, shows none and completes nothing", async () => {
    const row = tampering.row("uploads", "upload = ?", uploadId);
    const part = { query: `partNumber=2&uploadId=${uploadId}`, body: SMALL };
    for (const { at, mask } of each(row["state"])) {
      await expectErrors(
        () => tampering.change("uploads", row, { state: flipped(row["state"], at, mask) }),
        () => s3.send("PUT", "upload", part),
        () => s3.listParts("upload", uploadId),
        () => s3.complete("upload", uploadId, [etag]),
      );
    }
  });

  it("with a flipped bit in what is known of a part shows none and completes nothing", async () => {
    const row = tampering.row("parts", "owner = ?", tampering.row("uploads", "upload = ?", uploadId)["id"] ?? null);
    for (const { at, mask } of each(row["envelope"])) {
      await expectErrors(
        () => tampering.change("parts", row, { envelope: flipped(row["envelope"], at, mask) }),
        () => s3.listParts("upload", uploadId),
        () => s3.complete("upload", uploadId, [etag]),
      );
    }
    expect((await s3.get("upload")).status).toBe(404);
  });

  it("and, once it has been completed, answers no second time from a changed record", async () => {
    expect((await s3.complete("upload", uploadId, [etag])).status).toBe(200);
    const row = tampering.row("completed", "upload = ?", uploadId);
    for (const { at, mask } of each(row["envelope"])) {
      await expectErrors(
        () => tampering.change("completed", row, { envelope: flipped(row["envelope"], at, mask) }),
        () => s3.complete("upload", uploadId, [etag]),
      );
    }
    expect((await s3.complete("upload", uploadId, [etag])).status).toBe(200);
    expect((await s3.get("upload")).body.equals(SMALL)).toBe(true);
  });
});

describe("the store's id", () => {
  it("that was exchanged or has gone lets nothing be opened, and the store not begin anew", async () => {
    const row = tampering.row("documents", "path = ?", Buffer.from("store"));
    const text = Buffer.from(bytesOf(row["bytes"])).toString();
    const other = text.replace(/[0-9a-f]{32}/, "0123456789abcdef0123456789abcdef");
    const undo = tampering.change("documents", row, { bytes: Buffer.from(other) });
    await plane.kill();
    await plane.start();
    for (const answer of [await s3.get("small"), await s3.head("small"), await s3.put("new", SMALL)]) {
      expect(answer.status).toBe(500);
    }
    undo();
    await plane.kill();
    const restore = tampering.exchange("documents", [row], []);
    await expect(plane.start()).rejects.toThrow(/ended/);
    restore();
    await plane.start();
    await expectWhole();
  });
});

it("each of them is a line of the audit log, as tampering", () => {
  expect(
    plane
      .output()
      .split("\n")
      .filter((line) => line.includes('"outcome":"tamper"')).length,
  ).toBeGreaterThan(1000);
});

async function reconfigure(bucket: string, change: Partial<{ provider: string; minEpoch: number }>): Promise<void> {
  const { wish } = plane;
  const entry = wish.buckets[bucket];
  if (entry === undefined) throw new Error(`There is no bucket "${bucket}"`);
  plane.configure({
    ...wish,
    revision: Date.now(),
    buckets: { ...wish.buckets, [bucket]: { ...entry, ...change } },
  });
  await sleep(20);
}
