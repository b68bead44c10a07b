import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createLocalKms } from "../../kms/local.ts";
import { createRing, printRing } from "../../kms/ring.ts";
import type { HeaderList } from "./contract/requests.ts";
import { type Answer, ask, startWorld, type World } from "./contract/world.ts";

const ring = createRing(new Date());
const PART = "p".repeat(5 * 2 ** 20);
const LAST = "last";
let world: World;

beforeAll(async () => {
  world = await startWorld({ kms: createLocalKms(ring), kmsKeyId: ring.id, ring: printRing(ring) });
});

afterAll(async () => {
  await world.close();
  expect(world.errors).toEqual([]);
});

const outcome = ({ status, code }: Answer) => [status, code];

async function begin(name: string, headers: HeaderList = []): Promise<string> {
  const { text } = await ask(world, { method: "POST", target: `/photos/${name}?uploads`, headers });
  return /<UploadId>(.*)<\/UploadId>/.exec(text)?.[1] ?? "";
}

const part = (name: string, id: string, number: number, text: string, headers: HeaderList = []): Promise<Answer> =>
  ask(world, {
    method: "PUT",
    target: `/photos/${name}?partNumber=${number}&uploadId=${id}`,
    body: Buffer.from(text),
    headers,
  });

type Listed = readonly (readonly [number: number, etag: string, more?: string])[];

const complete = (name: string, id: string, listed: Listed, headers: HeaderList = []): Promise<Answer> => {
  const parts = listed.map(
    ([number, etag, more = ""]) => `<Part><PartNumber>${number}</PartNumber><ETag>${etag}</ETag>${more}</Part>`,
  );
  const body = Buffer.from(`<CompleteMultipartUpload>${parts.join("")}</CompleteMultipartUpload>`);
  return ask(world, { method: "POST", target: `/photos/${name}?uploadId=${id}`, body, headers });
};

const etagOf = (answer: Answer): string => String(answer.headers["etag"]);

async function uploaded(name: string, texts: readonly string[], headers: HeaderList = []) {
  const id = await begin(name, headers);
  const listed: [number, string][] = [];
  for (const [index, text] of texts.entries()) listed.push([index + 1, etagOf(await part(name, id, index + 1, text))]);
  return { id, listed };
}

describe("Parts", () => {
  test("1–10,000; a part uploaded again replaces the old one", async () => {
    const id = await begin("again");
    expect((await part("again", id, 0, "x")).code).toBe("InvalidArgument");
    expect((await part("again", id, 10_001, "x")).code).toBe("InvalidArgument");
    expect((await part("again", id, 10_000, "x")).status).toBe(200);
    const old = etagOf(await part("again", id, 1, "old"));
    const renewed = etagOf(await part("again", id, 1, "new"));
    expect((await complete("again", id, [[1, old]])).code).toBe("InvalidPart");
    expect((await complete("again", id, [[1, renewed]])).status).toBe(200);
    expect((await ask(world, { target: "/photos/again" })).text).toBe("new");
  });

  test("all but the last at least 5 MiB (EntityTooSmall)", async () => {
    const { id, listed } = await uploaded("small", ["tiny", LAST]);
    expect(outcome(await complete("small", id, listed))).toEqual([400, "EntityTooSmall"]);
    expect((await complete("small", id, listed.slice(1))).status).toBe(200);
  });
});

describe("Complete:", () => {
  test("listed parts in ascending order (InvalidPartOrder)", async () => {
    const { id, listed } = await uploaded("order", [PART, LAST]);
    expect(outcome(await complete("order", id, listed.toReversed()))).toEqual([400, "InvalidPartOrder"]);
    expect(outcome(await complete("order", id, [listed[0] ?? [1, ""], listed[0] ?? [1, ""]]))).toEqual([
      400,
      "InvalidPartOrder",
    ]);
  });

  test("ETags (with or without quotes) and checksums match (InvalidPart)", async () => {
    const sum = (text: string) => createHash("sha256").update(text).digest("base64");
    const { id, listed } = await uploaded("match", [LAST], [["x-amz-checksum-algorithm", "SHA256"]]);
    const [number, etag] = listed[0] ?? [1, ""];
    const checksum = (text: string) => `<ChecksumSHA256>${sum(text)}</ChecksumSHA256>`;
    expect((await complete("match", id, [[number, '"x-1"']])).code).toBe("InvalidPart");
    expect((await complete("match", id, [[2, etag]])).code).toBe("InvalidPart");
    expect((await complete("match", id, [[number, etag, checksum("other")]])).code).toBe("InvalidPart");
    const bare = etag.replaceAll('"', "");
    expect((await complete("match", id, [[number, bare, checksum(LAST)]])).status).toBe(200);
  });

  test("x-amz-mp-object-size matches", async () => {
    const { id, listed } = await uploaded("size", [LAST]);
    expect((await complete("size", id, listed, [["x-amz-mp-object-size", "5"]])).status).toBe(400);
    expect((await complete("size", id, listed, [["x-amz-mp-object-size", "4"]])).status).toBe(200);
  });

  test("the same Complete again answers the same 200; a part or Abort after it gets NoSuchUpload", async () => {
    const { id, listed } = await uploaded("twice", [LAST]);
    const first = await complete("twice", id, listed);
    expect((await complete("twice", id, listed)).text).toBe(first.text);
    expect((await part("twice", id, 2, "x")).code).toBe("NoSuchUpload");
    const abort = await ask(world, { method: "DELETE", target: `/photos/twice?uploadId=${id}` });
    expect(outcome(abort)).toEqual([404, "NoSuchUpload"]);
    expect((await complete("twice", id, [[1, '"0-1"']])).code).toBe("NoSuchUpload");
  });

  test("If-None-Match: * holds for Complete", async () => {
    const { id, listed } = await uploaded("once", [LAST]);
    await ask(world, { method: "PUT", target: "/photos/once", body: Buffer.from("x") });
    expect(outcome(await complete("once", id, listed, [["If-None-Match", "*"]]))).toEqual([412, "PreconditionFailed"]);
    expect((await complete("once", id, listed)).status).toBe(200);
  });

  test("ends the upload and dooms unlisted parts", async () => {
    const { id, listed } = await uploaded("ends", [PART, PART, LAST]);
    const [one, , three] = listed as [[number, string], [number, string], [number, string]];
    expect((await complete("ends", id, [one, three])).status).toBe(200);
    const got = await ask(world, { method: "HEAD", target: "/photos/ends" });
    expect(got.headers["content-length"]).toBe(String(PART.length + LAST.length));
    expect((await ask(world, { target: "/photos?uploads&prefix=ends" })).text).not.toContain("<Upload>");
  });
});

describe("Checksums of multipart uploads:", () => {
  const digest = (algorithm: string, bytes: string | Buffer) => createHash(algorithm).update(bytes).digest();
  const cases = [
    ["SHA1", "sha1"],
    ["SHA256", "sha256"],
    ["SHA512", "sha512"],
    ["MD5", "md5"],
  ] as const;
  test.each(cases)("%s is composite: base64-N over the parts' raw digests", async (algorithm, name) => {
    const at = `sum-${name}`;
    const { id, listed } = await uploaded(at, [PART, LAST], [["x-amz-checksum-algorithm", algorithm]]);
    const whole = digest(name, Buffer.concat([digest(name, PART), digest(name, LAST)])).toString("base64");
    const done = await complete(at, id, listed);
    expect(done.text).toContain(`<Checksum${algorithm}>${whole}-2</Checksum${algorithm}>`);
    expect(done.text).toContain("<ChecksumType>COMPOSITE</ChecksumType>");
    const full: HeaderList = [
      ["x-amz-checksum-algorithm", algorithm],
      ["x-amz-checksum-type", "FULL_OBJECT"],
    ];
    const refused = await ask(world, { method: "POST", target: `/photos/${at}?uploads`, headers: full });
    expect(outcome(refused)).toEqual([400, "InvalidRequest"]);
  });

  const sumOfSums = (texts: readonly string[]) =>
    digest("sha256", Buffer.concat(texts.map((text) => digest("sha256", text)))).toString("base64");

  test("the -N of a stated composite checksum is the number of listed parts, or is left out", async () => {
    const value = sumOfSums([PART, LAST]);
    const bySha: HeaderList = [["x-amz-checksum-algorithm", "SHA256"]];
    const { id, listed } = await uploaded("suffix", [PART, LAST], bySha);
    const stating = (text: string) => complete("suffix", id, listed, [["x-amz-checksum-sha256", text]]);
    for (const wrong of [`${value}-1`, `${value}-3`, `${value}-0`]) {
      expect([wrong, ...outcome(await stating(wrong))]).toEqual([wrong, 400, "BadDigest"]);
    }
    for (const malformed of [`${value}-`, `${value}-x`, `${value}-2-2`]) {
      expect([malformed, ...outcome(await stating(malformed))]).toEqual([malformed, 400, "InvalidDigest"]);
    }
    expect((await stating(`${value}-2`)).status).toBe(200);
    const bare = await uploaded("bare", [PART, LAST], bySha);
    expect((await complete("bare", bare.id, bare.listed, [["x-amz-checksum-sha256", value]])).status).toBe(200);
  });

  test("a stated checksum of the full object has no -N", async () => {
    const headers: HeaderList = [["x-amz-checksum-algorithm", "CRC64NVME"]];
    const { id, listed } = await uploaded("unsuffixed", ["hello"], headers);
    const stating = (text: string) => complete("unsuffixed", id, listed, [["x-amz-checksum-crc64nvme", text]]);
    expect(outcome(await stating("M3eFcAZSQlc=-1"))).toEqual([400, "InvalidRequest"]);
    expect((await stating("M3eFcAZSQlc=")).status).toBe(200);
  });

  test("x-amz-checksum-type of a Complete is one that there is, and that of the upload", async () => {
    const choices: readonly (readonly [name: string, headers: HeaderList, type: string | undefined])[] = [
      ["composite", [["x-amz-checksum-algorithm", "CRC32"]], "COMPOSITE"],
      ["full", [["x-amz-checksum-algorithm", "CRC64NVME"]], "FULL_OBJECT"],
      ["unsummed", [], undefined],
    ];
    for (const [name, headers, type] of choices) {
      const { id, listed } = await uploaded(`typed-${name}`, [LAST], headers);
      const typed = (text: string) => complete(`typed-${name}`, id, listed, [["x-amz-checksum-type", text]]);
      for (const other of ["COMPOSITE", "FULL_OBJECT", "composite", "WHOLE", ""]) {
        if (other === type) continue;
        expect([name, other, ...outcome(await typed(other))]).toEqual([name, other, 400, "InvalidRequest"]);
      }
      const done = type === undefined ? await complete(`typed-${name}`, id, listed) : await typed(type);
      expect(done.status).toBe(200);
    }
  });

  test("with a composite checksum part numbers run from 1 without gaps", async () => {
    const id = await begin("gaps", [["x-amz-checksum-algorithm", "SHA256"]]);
    const etag = etagOf(await part("gaps", id, 2, LAST));
    expect((await complete("gaps", id, [[2, etag]])).code).toBe("InvalidPart");
  });

  test.each(["CRC32", "CRC32C", "CRC64NVME"])(
    "%s of the full object, by combining the parts' values",
    async (algorithm) => {
      const name = `full-${algorithm}`;
      const header = `x-amz-checksum-${algorithm.toLowerCase()}`;
      const headers: HeaderList = [
        ["x-amz-checksum-algorithm", algorithm],
        ["x-amz-checksum-type", "FULL_OBJECT"],
      ];
      const { id, listed } = await uploaded(name, [PART, LAST], headers);
      const done = await complete(name, id, listed);
      const value = new RegExp(`<Checksum${algorithm}>([^<-]+)</`).exec(done.text)?.[1] ?? "";
      expect(done.text).toContain("<ChecksumType>FULL_OBJECT</ChecksumType>");
      // The same bytes in one piece have the same value, or it would be refused.
      const body = Buffer.from(PART + LAST);
      const one = { method: "PUT", target: `/photos/${name}-one`, body, headers: [[header, value]] as HeaderList };
      expect((await ask(world, one)).status).toBe(200);
    },
  );

  test("CRC64NVME is of the full object always", async () => {
    const composite: HeaderList = [
      ["x-amz-checksum-algorithm", "CRC64NVME"],
      ["x-amz-checksum-type", "COMPOSITE"],
    ];
    const refused = await ask(world, { method: "POST", target: "/photos/crc64?uploads", headers: composite });
    expect(outcome(refused)).toEqual([400, "InvalidRequest"]);
    const { id, listed } = await uploaded("crc64", [LAST], [["x-amz-checksum-algorithm", "CRC64NVME"]]);
    expect((await complete("crc64", id, listed)).text).toContain("<ChecksumType>FULL_OBJECT</ChecksumType>");
  });
});

test("partNumber of a multipart object: 206 with x-amz-mp-parts-count; HEAD the same, without body", async () => {
  const { id, listed } = await uploaded("numbered", [PART, LAST]);
  await complete("numbered", id, listed);
  for (const method of ["GET", "HEAD"]) {
    const answer = await ask(world, { method, target: "/photos/numbered?partNumber=2" });
    expect([answer.status, answer.text, answer.headers["x-amz-mp-parts-count"]]).toEqual([
      206,
      method === "GET" ? LAST : "",
      "2",
    ]);
  }
  expect((await ask(world, { target: "/photos/numbered?partNumber=3" })).status).toBe(416);
});
