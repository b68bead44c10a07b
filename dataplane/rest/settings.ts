/** Buckets over REST: which there are, and the JSON of their encryption. What may be set is buckets/'s. */
import type { BucketEncryption, Buckets } from "../buckets/buckets.ts";
import type { Call } from "../call.ts";
import { Failure } from "../failure.ts";
import { sendWhole } from "../http/stream.ts";
import type { Exchange } from "../http/table.ts";
import type { BucketsJson, EncryptionJson } from "./api.ts";
import { readJson } from "./body.ts";
import type { Target } from "./target.ts";

export type RestBuckets = Pick<Buckets, "head" | "list" | "encryption" | "setEncryption" | "removeEncryption">;

const ALGORITHMS = { AES256: "AES-256-GCM", ChaCha20Poly1305: "ChaCha20-Poly1305" } as const;

export async function listBuckets(buckets: RestBuckets, call: Call, { answer }: Exchange<Target>): Promise<void> {
  const infos = await buckets.list(call);
  const json: BucketsJson = {
    buckets: infos.map(({ name, createdMs }) => ({ name, created: new Date(createdMs).toISOString() })),
  };
  sendWhole(answer, 200, "application/json", JSON.stringify(json));
}

/** Buckets come with the configuration; only a self-service credential could ask for another. */
export async function makeBucket(buckets: RestBuckets, call: Call, bucket: string): Promise<void> {
  const entry = await buckets.head(call, bucket).catch((error: unknown) => {
    if (error instanceof Failure && (error.code === "NoSuchBucket" || error.code === "AccessDenied")) return undefined;
    throw error;
  });
  if (entry !== undefined) throw new Failure("BucketAlreadyOwnedByYou", `Bucket "${bucket}" exists already`);
  throw refuseSelfService(call, `make bucket "${bucket}"`);
}

export function removeBucket(call: Call, bucket: string): Promise<void> {
  return Promise.reject(refuseSelfService(call, `remove bucket "${bucket}"`));
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
  const { resource, allowPlaintext } = await buckets.head(call, bucket);
  const wanted = parseEncryption(await readJson(body));
  if (!wanted.enabled && allowPlaintext) {
    throw new Failure("NotImplemented", `Cannot store later objects of "${bucket}" unencrypted by request`);
  }
  if (!wanted.enabled) {
    throw new Failure("ConfigurationConflict", `Bucket "${bucket}" is encrypted: ${resource} rules it`);
  }
  const encryption = await buckets.setEncryption(call, bucket, {
    shown: undefined,
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

function refuseSelfService(call: Call, doing: string): Failure {
  const { principal } = call;
  if (principal.kind === "credential" && principal.credential.selfService) {
    return new Failure("NotImplemented", `Cannot ${doing}: buckets are made by the configuration alone`);
  }
  return new Failure("AccessDenied", `Cannot ${doing}: it needs a self-service credential`);
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

function encryptionJson({ algorithm, kmsKeyId }: BucketEncryption): EncryptionJson {
  return {
    enabled: true,
    algorithm: algorithm === "AES-256-GCM" ? "AES256" : "ChaCha20Poly1305",
    kms_key_id: kmsKeyId,
  };
}
