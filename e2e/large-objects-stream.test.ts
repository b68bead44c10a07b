// Five GiB go in and come out, identical, by every way that clients have for it, and the data plane stays small.
// COFFER_E2E_LARGE_BYTES sets another size.

import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createReadStream } from "node:fs";
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { DeleteObjectCommand, GetObjectCommand, PutObjectCommand, type S3Client } from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { blocksOf, MIB, sha256Of, writeSparseFile } from "./bodies.ts";
import { restObject, runShell, s3Client } from "./clients.ts";
import { type Credentials, removeFolders, type Store, startStore, waitFor } from "./harness.ts";
import { peakRssBytes } from "./processes.ts";

const TOTAL_BYTES = Number(process.env["COFFER_E2E_LARGE_BYTES"] ?? 5 * 1024 * MIB);
const RSS_BYTES_MAX = 300 * MIB;
const TEN_MINUTES_MS = 600_000;

describe(`an object of ${(TOTAL_BYTES / 1024 / MIB).toFixed(1)} GiB`, { timeout: TEN_MINUTES_MS }, () => {
  const seed = randomBytes(MIB);
  let store: Store;
  let credentials: Credentials;
  let s3: S3Client;
  let scratch: string;
  beforeAll(async () => {
    store = await startStore();
    credentials = await store.credentials();
    s3 = s3Client(credentials);
    scratch = await mkdtemp(join(tmpdir(), "coffer-large-"));
  });
  afterAll(async () => {
    s3?.destroy();
    await store?.stop();
    if (store !== undefined) await removeFolders(store);
    if (scratch !== undefined) await rm(scratch, { recursive: true, force: true });
  });
  afterEach(async () => {
    expect(await peakRssBytes(await store.dataPlanePid())).toBeLessThan(RSS_BYTES_MAX);
  });

  test("goes in and out by REST", async () => {
    const sentHash = sha256Of(blocksOf(seed, TOTAL_BYTES));
    await putByRest(credentials, "large", blocksOf(seed, TOTAL_BYTES));
    const got = await restObject(credentials, "large");
    expect(got.headers.get("content-length")).toBe(String(TOTAL_BYTES));
    expect(await sha256Of(got.body ?? [])).toBe(await sentHash);
    expect((await restObject(credentials, "large", { method: "DELETE" })).status).toBe(204);
    await emptied(store);
  });

  test("goes in by the SDK's multipart upload, and out by its GET", async () => {
    const body = Readable.from(blocksOf(seed, TOTAL_BYTES), { objectMode: false });
    const where = { Bucket: credentials.bucket, Key: "large" };
    await new Upload({ client: s3, params: { ...where, Body: body } }).done();
    const got = await s3.send(new GetObjectCommand(where));
    expect(got.ContentLength).toBe(TOTAL_BYTES);
    expect(await sha256Of(got.Body as Readable)).toBe(await sha256Of(blocksOf(seed, TOTAL_BYTES)));
    await s3.send(new DeleteObjectCommand(where));
    await emptied(store);
  });

  test("goes in and out by curl and presigned addresses", async () => {
    const source = join(scratch, "source");
    const where = { Bucket: credentials.bucket, Key: "large" };
    await writeSparseFile(source, seed, TOTAL_BYTES);
    const put = await getSignedUrl(s3, new PutObjectCommand(where), { expiresIn: 3600 });
    expect(await runShell(`curl -sS -f -T '${source}' '${put}'`, scratch)).toEqual({ code: 0, output: "", errors: "" });
    const sentHash = await sha256Of(createReadStream(source, { highWaterMark: MIB }));
    await rm(source);
    const get = await getSignedUrl(s3, new GetObjectCommand(where), { expiresIn: 3600 });
    const got = await runShell(`curl -sS -f '${get}' | sha256sum`, scratch);
    expect(got.output.split(" ")[0]).toBe(sentHash);
    await s3.send(new DeleteObjectCommand(where));
    await emptied(store);
  });
});

/** With a length, as `curl -T` sends it; `fetch` would send chunks. */
async function putByRest(credentials: Credentials, name: string, blocks: Iterable<Buffer>): Promise<void> {
  const { restUrl, bucket, token } = credentials;
  const sent = request(`${restUrl}/api/v1/buckets/${bucket}/objects/${name}`, {
    method: "PUT",
    headers: { Authorization: `Bearer ${token}`, "Content-Length": TOTAL_BYTES },
  });
  const answered = once(sent, "response");
  await pipeline(Readable.from(blocks, { objectMode: false }), sent);
  const [answer] = await answered;
  answer.resume();
  expect(answer.statusCode).toBeLessThan(300);
}

/** What was deleted leaves the disk, soon. */
async function emptied(store: Store): Promise<void> {
  await waitFor("the body to be deleted from the disk", 60_000, async () => {
    const files = await readdir(store.dataDir, { recursive: true, withFileTypes: true });
    const sizes = files.filter((entry) => entry.isFile()).map((entry) => sizeOf(join(entry.parentPath, entry.name)));
    return (await Promise.all(sizes)).reduce((sum, bytes) => sum + bytes, 0) < TOTAL_BYTES / 10;
  });
}

/** Nothing, for a file that has gone meanwhile. */
async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => 0,
  );
}
