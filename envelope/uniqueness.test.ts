/** No (key, nonce) comes twice: over new bodies, parts uploaded again, retries, envelopes written anew, and processes. */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { openEnvelope, sealEnvelope } from "./envelope.ts";
import { createSealer, runSeal } from "./segment.ts";

const PROCESSES = 4;
const SEALS_EACH = 25_000;
const RECORD_BYTES = 36;

// Seals the same few parts, under the same data key, over and over; prints key and first index of each job.
const script = `
  import { createSealer } from ${JSON.stringify(new URL("segment.ts", import.meta.url).href)};
  const records = Buffer.alloc(2 * ${SEALS_EACH} * ${RECORD_BYTES});
  let at = 0;
  for (let seal = 0; seal < ${SEALS_EACH}; seal += 1) {
    const sealer = createSealer({
      suite: seal % 2 === 0 ? "AES-256-GCM" : "ChaCha20-Poly1305", chunkLog2: 14, partNumber: 1 + (seal % 4),
      dataKey: Buffer.alloc(32, 1), bodyId: Buffer.alloc(16, 7),
    });
    const plain = Buffer.alloc(2 ** 14);
    for (const job of [sealer.next([plain], false), sealer.next([], true)]) {
      records.set(job.chunkKey, at);
      records.writeUInt32BE(job.firstChunk, at + 32);
      at += ${RECORD_BYTES};
    }
  }
  process.stdout.write(records);
`;

test(`${PROCESSES * SEALS_EACH} seals of the same parts in ${PROCESSES} processes never repeat a key and nonce`, async () => {
  const runs = await Promise.all(Array.from({ length: PROCESSES }, () => runScript()));
  const seen = new Set<string>();
  for (const records of runs) {
    expect(records).toHaveLength(2 * SEALS_EACH * RECORD_BYTES);
    for (let at = 0; at < records.length; at += RECORD_BYTES) {
      seen.add(records.toString("latin1", at, at + RECORD_BYTES));
    }
  }
  expect(seen.size).toBe(2 * PROCESSES * SEALS_EACH);
});

test("a job that is run again gives the same bytes, so a retry seals nothing else under its nonces", () => {
  const dataKey = createHash("sha256").update("data key").digest();
  const sealer = createSealer({
    suite: "AES-256-GCM",
    chunkLog2: 14,
    partNumber: 0,
    dataKey,
    bodyId: Buffer.alloc(16),
  });
  const job = sealer.next([Buffer.from("once")], true);
  expect(runSeal(structuredClone(job))).toEqual(runSeal(job));
});

test("an envelope that is written anew has another commitment each time, so another key", () => {
  const bucketKey = createHash("sha256").update("bucket key").digest();
  const place = { kind: "marker", objectName: "a", versionId: "" } as const;
  const ids = [Buffer.alloc(16, 11), Buffer.alloc(16)] as const;
  const commitments = new Set<string>();
  let modifiedMs = 1;
  for (let seal = 0; seal < 10_000; seal += 1) {
    const envelope = sealEnvelope(place, { modifiedMs }, ...ids, bucketKey);
    modifiedMs = openEnvelope(envelope, place, bucketKey).modifiedMs;
    commitments.add(Buffer.from(envelope.subarray(68, 100)).toString("latin1"));
  }
  expect(commitments.size).toBe(10_000);
});

async function runScript(): Promise<Buffer> {
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", script], {
    encoding: "buffer",
    maxBuffer: 64 * 2 ** 20,
  });
  return stdout;
}
