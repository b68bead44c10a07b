// Random operations in random order on a running store and on a model of S3 in memory: every answer is the model's. What
// fails is made small before it is shown.

import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { BUCKET, DataPlane } from "./dataplane.ts";
import { bodyOf } from "./load.ts";
import { isCommonPrefix, type ListAsked, Model, type OpenUpload } from "./model.ts";
import { type Answer, codeOf, element, elements, S3 } from "./s3.ts";
import { encodeName } from "./signature.ts";
import { misfits } from "./volume.ts";

/** As many of them as the time allows, which on a slow machine are fewer. */
const RUNS = 200;
const BEGUN_WITHIN_MS = 150_000;
const STEPS_MAX = 40;

/** Folders, folders' markers, what is sorted otherwise as text, and what XML and URLs make of it. */
const NAMES = [
  "a",
  "a/",
  "a/b",
  "a/b/c",
  "a//b",
  "a b",
  "a+b",
  "a\u0001",
  "b/ä",
  "b/ä/c",
  "é",
  "e\u0301",
  "/",
  "//",
  "\uffff",
  "\ufffd/x",
  "\u{1f512}",
  "\u{1f512}/x",
  "\u{1f512}\u{1f512}/y",
  "\u{10ffff}",
  "<&>\"'",
  "..",
  "../a",
  "%2F",
] as const;
const DELIMITERS = ["", "/", "/", "b", "ä", "\u{1f512}", "//"] as const;
const SIZES = [0, 1, 100, 65_535, 65_536, 70_000, 200_000] as const;

type Condition = "none" | "absent" | "current" | "stale";

type Step =
  | { readonly does: "put"; readonly name: string; readonly bytes: number; readonly condition: Condition }
  | { readonly does: "get"; readonly name: string; readonly condition: Condition }
  | { readonly does: "range"; readonly name: string; readonly from: number; readonly length: number }
  | { readonly does: "delete"; readonly name: string }
  | { readonly does: "copy"; readonly name: string; readonly to: string }
  | { readonly does: "createUpload"; readonly name: string }
  | { readonly does: "part"; readonly upload: number; readonly part: number; readonly bytes: number }
  | { readonly does: "complete"; readonly upload: number; readonly parts: readonly number[] }
  | { readonly does: "abort"; readonly upload: number }
  | { readonly does: "parts"; readonly upload: number }
  | { readonly does: "uploads" }
  | { readonly does: "list"; readonly version: 1 | 2; readonly asked: ListAsked };

const name = fc.constantFrom(...NAMES);
const bytes = fc.constantFrom(...SIZES);
const condition = fc.constantFrom<Condition>("none", "none", "none", "absent", "current", "stale");
const upload = fc.nat(5);

const asked = fc.record({
  prefix: fc.oneof(fc.constant(""), name, fc.constantFrom("b", "\u{1f512}", "zz")),
  delimiter: fc.constantFrom(...DELIMITERS),
  pageSize: fc.constantFrom(1, 2, 3, 1000),
  after: fc.oneof(fc.constant(""), name, fc.constantFrom("a/b/", "zz", "\ue000")),
});

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ does: fc.constant("put" as const), name, bytes, condition }) },
  { weight: 3, arbitrary: fc.record({ does: fc.constant("get" as const), name, condition }) },
  {
    weight: 2,
    arbitrary: fc.record({ does: fc.constant("range" as const), name, from: fc.nat(70_000), length: fc.nat(200_000) }),
  },
  { weight: 2, arbitrary: fc.record({ does: fc.constant("delete" as const), name }) },
  { weight: 1, arbitrary: fc.record({ does: fc.constant("copy" as const), name, to: name }) },
  { weight: 2, arbitrary: fc.record({ does: fc.constant("createUpload" as const), name }) },
  {
    weight: 3,
    arbitrary: fc.record({ does: fc.constant("part" as const), upload, part: fc.integer({ min: 1, max: 3 }), bytes }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      does: fc.constant("complete" as const),
      upload,
      parts: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 2 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ does: fc.constant("abort" as const), upload }) },
  { weight: 1, arbitrary: fc.record({ does: fc.constant("parts" as const), upload }) },
  { weight: 1, arbitrary: fc.record({ does: fc.constant("uploads" as const) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      does: fc.constant("list" as const),
      version: fc.constantFrom(1 as const, 2 as const),
      asked,
    }),
  },
);

let plane: DataPlane;
let s3: S3;

beforeAll(async () => {
  plane = await DataPlane.create();
  await plane.start();
  s3 = new S3(plane);
});
afterAll(() => plane?.remove());

/** One sequence: the store and the model, and what they have come to. */
class Sequence {
  readonly #model = new Model();
  #writes = 0;

  async run(steps: readonly Step[]): Promise<void> {
    for (const one of steps) await this.#step(one);
    await this.#compareAll();
  }

  #step(one: Step): Promise<void> {
    switch (one.does) {
      case "put":
        return this.#put(one.name, one.bytes, one.condition);
      case "get":
        return this.#get(one.name, one.condition);
      case "range":
        return this.#range(one.name, one.from, one.length);
      case "delete":
        return this.#delete(one.name);
      case "copy":
        return this.#copy(one.name, one.to);
      case "createUpload":
        return this.#createUpload(one.name);
      case "list":
        return this.#list(one.asked, one.version);
      case "uploads":
        return this.#uploads();
      default:
        return this.#inUpload(one);
    }
  }

  /** The headers of a condition, and whether it holds. */
  #condition(of: string, wanted: Condition): { readonly headers: Record<string, string>; readonly refusal: string } {
    const etag = this.#model.objects.get(of)?.etag;
    switch (wanted) {
      case "none":
        return { headers: {}, refusal: "" };
      case "absent":
        return { headers: { "if-none-match": "*" }, refusal: etag === undefined ? "" : "412 PreconditionFailed" };
      case "current":
        return { headers: { "if-match": etag ?? '"none"' }, refusal: etag === undefined ? "404 NoSuchKey" : "" };
      case "stale":
        return {
          headers: { "if-match": '"0123456789abcdef0123456789abcdef"' },
          refusal: etag === undefined ? "404 NoSuchKey" : "412 PreconditionFailed",
        };
    }
  }

  #newBody(size: number): Buffer {
    this.#writes += 1;
    return bodyOf(`${size}-${this.#writes}`);
  }

  async #put(to: string, size: number, wanted: Condition): Promise<void> {
    const body = this.#newBody(size);
    const contentType = `text/x-${this.#writes}`;
    const { headers, refusal } = this.#condition(to, wanted);
    const answer = await s3.put(to, body, { ...headers, "content-type": contentType });
    expect(said(answer)).toBe(refusal || "200");
    if (refusal === "") this.#model.objects.set(to, { body, contentType, etag: answer.headers.etag ?? "" });
  }

  async #get(of: string, wanted: Condition): Promise<void> {
    const stored = this.#model.objects.get(of);
    const isKnown = wanted === "absent" && stored !== undefined;
    const headers = isKnown
      ? { "if-none-match": stored.etag }
      : this.#condition(of, wanted === "absent" ? "none" : wanted).headers;
    const answer = await s3.get(of, headers);
    if (stored === undefined) expect(said(answer)).toBe("404 NoSuchKey");
    else if (isKnown) expect([answer.status, answer.headers.etag]).toEqual([304, stored.etag]);
    else if (wanted === "stale") expect(said(answer)).toBe("412 PreconditionFailed");
    else this.#expectObject(of, answer);
    if (wanted !== "none") return;
    const head = await s3.head(of);
    expect(head.status).toBe(stored === undefined ? 404 : 200);
    if (stored === undefined) return;
    expect([head.headers.etag, head.headers["content-length"]]).toEqual([stored.etag, String(stored.body.length)]);
  }

  #expectObject(of: string, answer: Answer): void {
    const stored = this.#model.objects.get(of);
    expect([answer.status, answer.headers.etag, answer.headers["content-type"]]).toEqual([
      200,
      stored?.etag,
      stored?.contentType,
    ]);
    expect(stored?.body.equals(answer.body)).toBe(true);
  }

  async #range(of: string, from: number, length: number): Promise<void> {
    const stored = this.#model.objects.get(of);
    const answer = await s3.get(of, { range: `bytes=${from}-${from + length}` });
    if (stored === undefined) expect(said(answer)).toBe("404 NoSuchKey");
    else if (from >= stored.body.length) expect(said(answer)).toBe("416 InvalidRange");
    else {
      expect(answer.status).toBe(206);
      expect(stored.body.subarray(from, from + length + 1).equals(answer.body)).toBe(true);
    }
  }

  async #delete(of: string): Promise<void> {
    expect((await s3.delete(of)).status).toBe(204);
    this.#model.objects.delete(of);
  }

  async #copy(from: string, to: string): Promise<void> {
    const stored = this.#model.objects.get(from);
    const answer = await s3.send("PUT", to, { headers: { "x-amz-copy-source": `/${BUCKET}/${encodeName(from)}` } });
    if (stored === undefined) expect(said(answer)).toBe("404 NoSuchKey");
    else if (from === to) expect(said(answer)).toBe("400 InvalidRequest");
    else {
      expect(said(answer)).toBe("200");
      this.#model.objects.set(to, stored);
    }
  }

  async #createUpload(of: string): Promise<void> {
    this.#writes += 1;
    const contentType = `text/x-${this.#writes}`;
    const uploadId = await s3.createUpload(of, { "content-type": contentType });
    this.#model.uploads.push({ name: of, uploadId, contentType, parts: new Map() });
  }

  #inUpload(one: Extract<Step, { readonly upload: number }>): Promise<void> {
    const { uploads } = this.#model;
    const open = uploads[one.upload % Math.max(1, uploads.length)];
    if (open === undefined) return Promise.resolve();
    switch (one.does) {
      case "part":
        return this.#part(open, one.part, one.bytes);
      case "complete":
        return this.#complete(open, one.parts);
      case "abort":
        return this.#abort(open);
      case "parts":
        return this.#parts(open);
    }
  }

  async #part(open: OpenUpload, partNumber: number, size: number): Promise<void> {
    const body = this.#newBody(size);
    const etag = await s3.uploadPart(open.name, open.uploadId, partNumber, body);
    open.parts.set(partNumber, { body, etag });
  }

  async #complete(open: OpenUpload, numbers: readonly number[]): Promise<void> {
    const listed = numbers.map((number) => ({ number, part: open.parts.get(number) }));
    const xml = listed.map(({ number, part }) => {
      const etag = (part?.etag ?? '"0123456789abcdef0123456789abcdef-1"').replaceAll('"', "&quot;");
      return `<Part><PartNumber>${number}</PartNumber><ETag>${etag}</ETag></Part>`;
    });
    const body = Buffer.from(`<CompleteMultipartUpload>${xml.join("")}</CompleteMultipartUpload>`);
    const sending = { query: `uploadId=${open.uploadId}`, body };
    const answer = await s3.send("POST", open.name, sending);
    const refusal = refusalOf(listed);
    expect(said(answer)).toBe(refusal || "200");
    if (refusal !== "") return;
    const etag = element(answer.body.toString(), "ETag");
    const whole = Buffer.concat(listed.map(({ part }) => part?.body ?? Buffer.alloc(0)));
    this.#model.objects.set(open.name, { body: whole, etag, contentType: open.contentType });
    this.#end(open);
    expect(said(await s3.send("POST", open.name, sending))).toBe("200");
  }

  #end(open: OpenUpload): void {
    this.#model.uploads.splice(this.#model.uploads.indexOf(open), 1);
  }

  async #abort(open: OpenUpload): Promise<void> {
    expect((await s3.abort(open.name, open.uploadId)).status).toBe(204);
    this.#end(open);
    expect(said(await s3.listParts(open.name, open.uploadId))).toBe("404 NoSuchUpload");
  }

  async #parts(open: OpenUpload): Promise<void> {
    const xml = (await s3.listParts(open.name, open.uploadId)).body.toString();
    const listed = elements(xml, "Part").map((part) => [
      Number(element(part, "PartNumber")),
      element(part, "ETag"),
      Number(element(part, "Size")),
    ]);
    const known = [...open.parts].toSorted(([a], [b]) => a - b);
    expect(listed).toEqual(known.map(([number, { etag, body }]) => [number, etag, body.length]));
  }

  async #uploads(): Promise<void> {
    const xml = (await s3.send("GET", undefined, { query: "encoding-type=url&uploads=" })).body.toString();
    const listed = elements(xml, "Upload").map(
      (one) => `${decodeURIComponent(element(one, "Key"))} ${element(one, "UploadId")}`,
    );
    const known = this.#model.uploads.map((open) => `${open.name} ${open.uploadId}`);
    expect(listed.toSorted()).toEqual(known.toSorted());
  }

  async #list(wanted: ListAsked, version: 1 | 2): Promise<void> {
    // A marker that is a common prefix skips what is below it. What `start-after` does there nobody says.
    const { prefix, delimiter, pageSize } = wanted;
    const after = version === 2 && isCommonPrefix(wanted) ? "" : wanted.after;
    const pages = this.#model.pages({ prefix, delimiter, pageSize, after });
    const parameters = { prefix, delimiter, "max-keys": String(pageSize), "encoding-type": "url" };
    let more: Record<string, string> = version === 1 ? { marker: after } : { "list-type": "2", "start-after": after };
    for (const page of pages) {
      const answer = await s3.send("GET", undefined, { query: queryOf({ ...parameters, ...more }) });
      expect(said(answer)).toBe("200");
      const xml = answer.body.toString();
      const contents = elements(xml, "Contents");
      const shown = {
        names: contents.map((one) => decodeURIComponent(element(one, "Key"))),
        prefixes: elements(xml, "CommonPrefixes").map((one) => decodeURIComponent(element(one, "Prefix"))),
        truncated: element(xml, "IsTruncated") === "true",
      };
      expect(shown).toEqual(page);
      for (const one of contents) {
        const stored = this.#model.objects.get(decodeURIComponent(element(one, "Key")));
        expect([element(one, "ETag"), Number(element(one, "Size"))]).toEqual([stored?.etag, stored?.body.length]);
      }
      if (version === 2) {
        expect(Number(element(xml, "KeyCount"))).toBe(page.names.length + page.prefixes.length);
        more = {
          "list-type": "2",
          "start-after": after,
          "continuation-token": elements(xml, "NextContinuationToken")[0] ?? "",
        };
      } else {
        const last = elements(xml, "NextMarker")[0];
        more = { marker: last === undefined ? (page.names.at(-1) ?? "") : decodeURIComponent(last) };
      }
    }
  }

  async #compareAll(): Promise<void> {
    expect((await s3.list(3)).map(({ name: listed }) => listed)).toEqual(this.#model.names());
    for (const known of this.#model.names()) this.#expectObject(known, await s3.get(known));
  }
}

type ListedPart = { readonly number: number; readonly part: { readonly body: Buffer } | undefined };

/** Of a Complete, "" if it must succeed. */
function refusalOf(listed: readonly ListedPart[]): string {
  for (const [at, { number }] of listed.entries()) {
    if (at > 0 && number <= (listed[at - 1]?.number ?? 0)) return "400 InvalidPartOrder";
  }
  if (listed.some(({ part }) => part === undefined)) return "400 InvalidPart";
  return listed.length > 1 ? "400 EntityTooSmall" : "";
}

function said(answer: Answer): string {
  return `${answer.status}${answer.broken ? " broken" : ""} ${answer.status < 300 ? "" : codeOf(answer)}`.trim();
}

function queryOf(parameters: Readonly<Record<string, string>>): string {
  return Object.entries(parameters)
    .map(
      ([key, value]) =>
        `${key}=${encodeURIComponent(value).replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`)}`,
    )
    .join("&");
}

async function emptyBucket(): Promise<void> {
  for (const { name: listed } of await s3.list()) expect((await s3.delete(listed)).status).toBe(204);
  const xml = (await s3.send("GET", undefined, { query: "encoding-type=url&uploads=" })).body.toString();
  for (const one of elements(xml, "Upload")) {
    const [of, uploadId] = [decodeURIComponent(element(one, "Key")), element(one, "UploadId")];
    expect((await s3.abort(of, uploadId)).status).toBe(204);
  }
}

it("every answer is the model's, and nothing is left over", { timeout: 300_000 }, async () => {
  const beginsUntilMs = performance.now() + BEGUN_WITHIN_MS;
  const sequences = fc.asyncProperty(
    fc.array(step, { minLength: 1, maxLength: STEPS_MAX, size: "max" }),
    async (steps) => {
      if (performance.now() > beginsUntilMs) return;
      await emptyBucket();
      await new Sequence().run(steps);
    },
  );
  await fc.assert(sequences, { numRuns: RUNS, endOnFailure: false });
  await emptyBucket();
  await plane.stop();
  expect(misfits(plane.dataDir, true)).toEqual([]);
});
