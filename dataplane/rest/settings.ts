/** Buckets over REST: which there are, and the JSON of their encryption. What may be set is buckets/'s. */
import type { BucketEncryption, Buckets } from "../buckets/buckets.ts";
import type { Call } from "../call.ts";
import { Failure } from "../failure.ts";
import { sendWhole } from "../http/stream.ts";
import type { Exchange } from "../http/table.ts";
import type { BucketsJson, EncryptionJson } from "./api.ts";
import { readJson } from "./body.ts";
import type { Target } from "./target.ts";

export type RestBuckets = Pick<
  Buckets,
  "list" | "make" | "remove" | "encryption" | "setEncryption" | "removeEncryption"
>;

const ALGORITHMS = { AES256: "AES-256-GCM", ChaCha20Poly1305: "ChaCha20-Poly1305" } as const;

export async function listBuckets(buckets: RestBuckets, call: Call, { answer }: Exchange<Target>): Promise<void> {
  const infos = await buckets.list(call);
  const json: BucketsJson = {
    buckets: infos.map(({ name, createdMs }) => ({ name, created: new Date(createdMs).toISOString() })),
  };
  sendWhole(answer, 200, "application/json", JSON.stringify(json));
}

/** Of the configuration's self-service rules; a body would say nothing. */
export async function makeBucket(
  buckets: RestBuckets,
  call: Call,
  bucket: string,
  { answer }: Exchange<Target>,
): Promise<void> {
  await buckets.make(call, bucket);
  answer.statusCode = 201;
  answer.setHeader("Location", `/api/v1/buckets/${bucket}`);
  answer.setHeader("Content-Length", 0);
  answer.end();
}

export async function removeBucket(
  buckets: RestBuckets,
  call: Call,
  bucket: string,
  { answer }: Exchange<Target>,
): Promise<void> {
  await buckets.remove(call, bucket);
  answer.statusCode = 204;
  answer.end();
}

export async function getEncryption(
  buckets: RestBuckets,
  call: Call,
  bucket: string,
  { answer }: Exchange<Target>,
): Promise<void> {
  const encryption = await buckets.encryption(call, bucket);
  sendWhole(answer, 200, "application/json", JSON.stringify(encryptionJson(encryption)));
}

export async function setEncryption(
  buckets: RestBuckets,
  call: Call,
  bucket: string,
  { answer, body }: Exchange<Target>,
): Promise<void> {
  // Who may not use the bucket is refused before the body is read.
  const before = await buckets.encryption(call, bucket);
  const wanted = parseEncryption(await readJson(body));
  const begins = before.shown === "none" ? "aws:kms" : undefined;
  const encryption = await buckets.setEncryption(call, bucket, {
    shown: wanted.enabled ? begins : "none",
    kmsKeyId: wanted.kms_key_id,
    bucketKeyEnabled: undefined,
    algorithm: wanted.algorithm === undefined ? undefined : ALGORITHMS[wanted.algorithm],
  });
  sendWhole(answer, 200, "application/json", JSON.stringify(encryptionJson(encryption)));
}

export async function removeEncryption(
  buckets: RestBuckets,
  call: Call,
  bucket: string,
  { answer }: Exchange<Target>,
): Promise<void> {
  await buckets.removeEncryption(call, bucket);
  answer.statusCode = 204;
  answer.end();
}

interface EncryptionWanted {
  readonly enabled: boolean;
  readonly algorithm: EncryptionJson["algorithm"] | undefined;
  readonly kms_key_id: string | undefined;
}

const MEMBERS: ReadonlySet<string> = new Set(["enabled", "algorithm", "kms_key_id"]);

/** Throws MalformedJSON, naming the member. */
function parseEncryption(value: unknown): EncryptionWanted {
  const malformed = (what: string) => new Failure("MalformedJSON", `The encryption of a bucket: ${what}`);
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw malformed("it must be an object");
  const unknown = Object.keys(value).find((name) => !MEMBERS.has(name));
  if (unknown !== undefined) throw malformed("it has an unknown member");
  const { enabled, algorithm, kms_key_id } = value as Readonly<Record<string, unknown>>;
  if (typeof enabled !== "boolean") throw malformed("enabled must be true or false");
  if (algorithm !== undefined && algorithm !== "AES256" && algorithm !== "ChaCha20Poly1305") {
    throw malformed("algorithm must be AES256 or ChaCha20Poly1305");
  }
  if (kms_key_id !== undefined && typeof kms_key_id !== "string") throw malformed("kms_key_id must be a string");
  return { enabled, algorithm, kms_key_id };
}

function encryptionJson({ shown, algorithm, kmsKeyId }: BucketEncryption): EncryptionJson {
  return {
    enabled: shown !== "none",
    algorithm: algorithm === "AES-256-GCM" ? "AES256" : "ChaCha20Poly1305",
    kms_key_id: kmsKeyId,
  };
}
