/** The OpenAPI 3.1 document of REST, served as /api/v1/openapi.json. routes.test.ts holds it against the table. */
import type { ServerResponse } from "node:http";
import { sendWhole } from "../http/stream.ts";
import { BUCKET_NAME } from "./target.ts";

type Json = Readonly<Record<string, unknown>>;

const text = { type: "string" };
/** In a target, where no text may hold a NUL. */
const word = { ...text, pattern: "^[^\\u0000]*$" };
const whole = { type: "integer", minimum: 0 };
const time = { type: "string", format: "date-time" };

function object(properties: Json, optional: readonly string[] = []): Json {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: "object", properties, required };
}

/** Of requests: a member that we do not know is refused. */
function closedObject(properties: Json, optional: readonly string[]): Json {
  return { ...object(properties, optional), additionalProperties: false };
}

function list(items: Json): Json {
  return { type: "array", items };
}

function reference(name: string): Json {
  return { $ref: `#/components/schemas/${name}` };
}

const schemas = {
  Problem: object({ type: text, title: text, status: whole, code: text, detail: text, requestId: text }),
  Buckets: object({ buckets: list(object({ name: text, created: time })) }),
  Object: object({ name: text, sizeBytes: whole, etag: text, modified: time }),
  Listing: object(
    {
      bucket: text,
      prefix: text,
      delimiter: text,
      objects: list(reference("Object")),
      prefixes: list(text),
      truncated: { type: "boolean" },
      cursor: { ...text, description: "Opaque; there exactly if something follows." },
    },
    ["cursor"],
  ),
  Encryption: closedObject(
    {
      enabled: { type: "boolean" },
      algorithm: { enum: ["AES256", "ChaCha20Poly1305"] },
      kms_key_id: { ...text, description: "Id of the KMS key, or the name of its provider." },
    },
    ["algorithm", "kms_key_id"],
  ),
  Operation: object(
    {
      id: text,
      operation: text,
      bucket: text,
      name: text,
      started: time,
      doneBytes: whole,
      totalBytes: whole,
      bytesPerSecond: whole,
    },
    ["bucket", "name", "totalBytes"],
  ),
  Operations: object({ operations: list(reference("Operation")) }),
  Keys: object(
    {
      provider: text,
      kmsKeyId: text,
      version: { ...text, description: "The newest, after a rotation." },
      rotated: { type: "boolean", description: "false: a version newer than the one that was named was there." },
    },
    ["version", "rotated"],
  ),
};

function json(schema: keyof typeof schemas): Json {
  return { "application/json": { schema: reference(schema) } };
}

const problem = {
  description: "What was wrong, with a stable code.",
  content: { "application/problem+json": { schema: reference("Problem") } },
};

function operation(operationId: string, summary: string, responses: Json, more: Json = {}): Json {
  return { operationId, summary, responses: { ...responses, default: problem }, ...more };
}

function answer(description: string, content?: Json): Json {
  return content === undefined ? { description } : { description, content };
}

/** For GET, and HEAD with it. */
function readable(operationId: string, summary: string, content: Json, more: Json = {}): Json {
  return {
    get: operation(operationId, summary, { 200: answer("Here it is.", content) }, more),
    head: operation(`${operationId}Head`, `${summary} Headers alone.`, { 200: answer("It is there.") }, more),
  };
}

function inPath(name: string, description: string, schema: Json): Json {
  return { name, in: "path", required: true, schema, description };
}

function inQuery(name: string, description: string, schema: Json = word): Json {
  return { name, in: "query", schema, description };
}

function inHeader(name: string, description: string, schema: Json = text): Json {
  return { name, in: "header", schema, description };
}

const bytes = { "*/*": { schema: { type: "string", format: "binary" } } };
const bucket = inPath("bucket", "The name of the bucket.", BUCKET_NAME);
const reading = [
  inHeader("Range", "One range of bytes."),
  inHeader("If-Match", "Entity tags."),
  inHeader("If-None-Match", "Entity tags."),
  inHeader("If-Modified-Since", "A date."),
  inHeader("If-Unmodified-Since", "A date."),
];
/** A list of them names none. */
const ONE_TAG = { ...text, pattern: "^[^,]*$" };
const CHECKSUMS = ["crc32", "crc32c", "crc64nvme", "sha1", "sha256", "sha512", "md5"];
const KEPT = ["Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Expires"];
const writing = [
  inHeader("Content-MD5", "Verified over the body."),
  ...CHECKSUMS.map((name) => inHeader(`x-amz-checksum-${name}`, "In base64: verified over the body.")),
  ...KEPT.map((name) => inHeader(name, "Kept, and answered with the object.")),
  inHeader("If-Match", "The entity tag that the object must have.", ONE_TAG),
  inHeader("If-None-Match", "Only if there is no such object.", { enum: ["*"] }),
];
const removing = [inHeader("If-Match", "The entity tag that the object must have.", ONE_TAG)];

const OBJECT_NAME = { ...word, minLength: 1, maxLength: 1024 };

const objectPath = {
  parameters: [
    bucket,
    inPath("key", "The name of the object, at most 1,024 bytes of UTF-8; a slash is part of it.", OBJECT_NAME),
  ],
  get: operation(
    "GetObject",
    "Reads an object, or a range of it.",
    { 200: answer("The object.", bytes), 206: answer("The range.", bytes), 304: answer("It has not changed.") },
    { parameters: reading },
  ),
  head: operation(
    "HeadObject",
    "Describes an object.",
    { 200: answer("It is there."), 206: answer("The range is there."), 304: answer("It has not changed.") },
    { parameters: reading },
  ),
  put: operation(
    "PutObject",
    "Stores an object, whole or not at all.",
    { 200: answer("It is stored, and durable.", json("Object")) },
    { parameters: writing, requestBody: { required: true, content: bytes } },
  ),
  delete: operation(
    "DeleteObject",
    "Removes an object; none is no error.",
    { 204: answer("It is gone.") },
    {
      parameters: removing,
    },
  ),
};

const listing = [
  inQuery("prefix", "Only names that begin so."),
  inQuery("delimiter", "Names are grouped up to it."),
  inQuery("limit", "Names and groups of a page, at most 1,000.", whole),
  inQuery("cursor", "From the page before."),
];

const events = { "text/event-stream": { schema: text } };

export const OPENAPI: Json & { readonly paths: Readonly<Record<string, Json>> } = {
  openapi: "3.1.0",
  info: { title: "Coffer", version: "1", summary: "Encrypted objects over REST." },
  security: [{ bearer: [] }],
  components: { securitySchemes: { bearer: { type: "http", scheme: "bearer" } }, schemas },
  paths: {
    "/api/v1/buckets": readable("ListBuckets", "Lists the buckets that the token may use.", json("Buckets")),
    "/api/v1/buckets/{bucket}": {
      parameters: [bucket],
      put: operation("CreateBucket", "Makes a bucket, where the configuration allows it.", {
        201: answer("It is made."),
      }),
      delete: operation("DeleteBucket", "Removes an empty bucket, where the configuration allows it.", {
        204: answer("It is gone."),
      }),
    },
    "/api/v1/buckets/{bucket}/encryption": {
      parameters: [bucket],
      ...readable("GetBucketEncryption", "The cipher and the KMS key of later objects.", json("Encryption")),
      put: operation(
        "PutBucketEncryption",
        "Accepts what holds already; what contradicts the bucket's resource is refused, naming it.",
        { 200: answer("It holds.", json("Encryption")) },
        { requestBody: { required: true, content: json("Encryption") } },
      ),
      delete: operation("DeleteBucketEncryption", "Returns to the default.", { 204: answer("The default holds.") }),
    },
    "/api/v1/buckets/{bucket}/objects": {
      parameters: [bucket],
      ...readable("ListObjects", "Lists objects in the order of their bytes.", json("Listing"), {
        parameters: listing,
      }),
    },
    "/api/v1/buckets/{bucket}/objects/{key}": objectPath,
    "/api/v1/operations": readable("ListOperations", "What is in flight.", { ...json("Operations"), ...events }),
    "/api/v1/operations/{id}": {
      parameters: [inPath("id", "The id of the request, or of the step of a job.", word)],
      ...readable("GetOperation", "How far one operation is.", { ...json("Operation"), ...events }),
    },
    "/api/v1/keys/{provider}/{verb}": {
      parameters: [
        inPath("provider", "The name of the provider.", word),
        inPath("verb", "What is wanted.", { enum: ["rotate", "rewrap"] }),
      ],
      post: operation(
        "DriveKeys",
        "Rotates the key, or wraps anew what it wrapped. Refused where a resource drives the key, naming it.",
        { 202: answer("It is done, and the sweep that follows is a job.", json("Keys")) },
        { parameters: [inQuery("ifVersion", "Rotate only from this version on: asked again, it is not done again.")] },
      ),
    },
    "/api/v1/openapi.json": {
      ...readable(
        "GetOpenapi",
        "This document.",
        { "application/json": { schema: { type: "object" } } },
        { security: [] },
      ),
    },
  },
};

const PRINTED = Buffer.from(JSON.stringify(OPENAPI), "utf8");

export function sendOpenapi(target: ServerResponse): Promise<void> {
  sendWhole(target, 200, "application/json", PRINTED);
  return Promise.resolve();
}
