/** What is known of a job, as a document: how far it is, and which replica runs it until when. */
import { type Counts, noCounts } from "../keys/keys.ts";
import { StorageError } from "../storage/storage.ts";

export interface JobRecord {
  readonly kind: string;
  readonly bucket: string;
  /** What was wished for: another wish is another job. */
  readonly wish: string;
  /** `blocked`: it waits for a person. */
  readonly state: "running" | "done" | "blocked";
  /** Where the next step goes on. */
  readonly cursor: string | undefined;
  readonly counts: Counts;
  /** Oldest version of the KMS key that a record of the bucket is under, as far as the sweep has come. */
  readonly oldestKeyVersion: string | undefined;
  /** A failure's code, or why it is blocked; undefined while all is well. */
  readonly reason: string | undefined;
  readonly startedMs: number;
  readonly updatedMs: number;
  readonly completedMs: number | undefined;
  readonly lease: { readonly holder: string; readonly untilMs: number } | undefined;
}

export const JOBS_PREFIX = "job/";

export function jobPath(kind: string, bucket: string): string {
  return `${JOBS_PREFIX}${kind}/${bucket}`;
}

export function newRecord(kind: string, bucket: string, wish: string, nowMs: number): JobRecord {
  return {
    kind,
    bucket,
    wish,
    state: "running",
    cursor: undefined,
    counts: noCounts,
    oldestKeyVersion: undefined,
    reason: undefined,
    startedMs: nowMs,
    updatedMs: nowMs,
    completedMs: undefined,
    lease: undefined,
  };
}

export function printRecord(record: JobRecord): Uint8Array {
  return Buffer.from(JSON.stringify({ format: 1, ...record }), "utf8");
}

/** Throws StorageError "damaged". */
export function parseRecord(bytes: Uint8Array, path: string): JobRecord {
  const damaged = (cause?: unknown) =>
    new StorageError("damaged", `the job record "${path}" cannot be read`, { cause });
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch (error) {
    throw damaged(error);
  }
  if (typeof value !== "object" || value === null || !("format" in value) || value.format !== 1) throw damaged();
  const { format: _format, ...members } = value;
  const record = members as unknown as JobRecord;
  const whole =
    typeof record.wish === "string" &&
    typeof record.counts === "object" &&
    typeof record.startedMs === "number" &&
    jobPath(record.kind, record.bucket) === path;
  if (!whole) throw damaged();
  return { ...newRecord(record.kind, record.bucket, record.wish, record.startedMs), ...record };
}

export function addCounts(left: Counts, right: Counts): Counts {
  return {
    scanned: left.scanned + right.scanned,
    rewrapped: left.rewrapped + right.rewrapped,
    current: left.current + right.current,
    excluded: left.excluded + right.excluded,
    conflict: left.conflict + right.conflict,
    failed: left.failed + right.failed,
  };
}

/** Versions are numbers with most KMS; where one is not, the first in the order of text counts as the oldest. */
export function oldestVersion(versions: readonly string[]): string | undefined {
  const numeric = versions.every((version) => /^[0-9]+$/.test(version));
  const [oldest] = [...versions].sort((a, b) => (numeric ? Number(a) - Number(b) : a < b ? -1 : 1));
  return oldest;
}
