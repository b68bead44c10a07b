/**
 * The table of REST: every operation with its methods, its resource and its limits. Turning words into wire is the
 * other files' work; what may be done, and what it means, lies behind buckets/ and objects/.
 */
import type { Call } from "../call.ts";
import { Failure } from "../failure.ts";
import type { Exchange, Protocol, Row } from "../http/table.ts";
import { principalOf } from "./bearer.ts";
import { bodyOf } from "./body.ts";
import { printProblem, sendProblem } from "./errors.ts";
import { sendOpenapi } from "./openapi.ts";
import { driveKeys, getOperation, listOperations, type OperationsNeeds } from "./operations.ts";
import {
  getEncryption,
  listBuckets,
  makeBucket,
  type RestBuckets,
  removeBucket,
  removeEncryption,
  setEncryption,
} from "./settings.ts";
import { parseTarget, type Resource, type Target } from "./target.ts";
import { deleteObject, getObject, headObject, listObjects, type Objects, putObject } from "./transfer.ts";

export interface RestNeeds extends OperationsNeeds {
  readonly objects: Objects;
  readonly buckets: RestBuckets;
}

/** The methods that each resource answers: what OpenAPI lists, and what 405 names. */
export const METHODS = {
  buckets: ["GET", "HEAD"],
  bucket: ["PUT", "DELETE"],
  encryption: ["GET", "HEAD", "PUT", "DELETE"],
  objects: ["GET", "HEAD"],
  object: ["GET", "HEAD", "PUT", "DELETE"],
  operations: ["GET", "HEAD"],
  operation: ["GET", "HEAD"],
  keys: ["POST"],
  openapi: ["GET", "HEAD"],
} as const satisfies Record<Exclude<Resource["kind"], "unknown">, readonly string[]>;

const IDLE_MS = 60_000;
const JSON_BYTES_MAX = 64 * 1024;
const OBJECT_BYTES_MAX = 5 * 1024 ** 4;

export function createRest(needs: RestNeeds): Protocol<Target> {
  const { objects, buckets } = needs;
  return {
    name: "rest",
    parse: parseTarget,
    rows: [
      row("PutObject", ["PUT"], "object", OBJECT_BYTES_MAX, (call, at, it) => putObject(objects, call, at, it)),
      row("GetObject", ["GET"], "object", 0, (call, at, it) => getObject(objects, call, at, it)),
      row("HeadObject", ["HEAD"], "object", 0, (call, at, it) => headObject(objects, call, at, it)),
      row("DeleteObject", ["DELETE"], "object", 0, (call, at, it) => deleteObject(objects, call, at, it)),
      row("ListObjects", ["GET", "HEAD"], "objects", 0, (call, at, it) => listObjects(objects, call, at.bucket, it)),
      row("ListBuckets", ["GET", "HEAD"], "buckets", 0, (call, _at, it) => listBuckets(buckets, call, it)),
      row("CreateBucket", ["PUT"], "bucket", JSON_BYTES_MAX, (call, at, it) =>
        makeBucket(buckets, call, at.bucket, it),
      ),
      row("DeleteBucket", ["DELETE"], "bucket", 0, (call, at, it) => removeBucket(buckets, call, at.bucket, it)),
      row("GetBucketEncryption", ["GET", "HEAD"], "encryption", 0, (call, at, it) =>
        getEncryption(buckets, call, at.bucket, it),
      ),
      row("PutBucketEncryption", ["PUT"], "encryption", JSON_BYTES_MAX, (call, at, it) =>
        setEncryption(buckets, call, at.bucket, it),
      ),
      row("DeleteBucketEncryption", ["DELETE"], "encryption", 0, (call, at, it) =>
        removeEncryption(buckets, call, at.bucket, it),
      ),
      row("ListOperations", ["GET", "HEAD"], "operations", 0, (call, _at, it) => listOperations(needs, call, it)),
      row("GetOperation", ["GET", "HEAD"], "operation", 0, (call, at, it) => getOperation(needs, call, at.id, it)),
      row("DriveKeys", ["POST"], "keys", 0, (call, at, it) => driveKeys(needs, call, at, it)),
      { ...row("GetOpenapi", ["GET", "HEAD"], "openapi", 0, (_call, _at, it) => sendOpenapi(it.answer)), ...open },
      nothing,
    ],
    fail: sendProblem,
    refuse: printProblem,
  };
}

type Kind = Resource["kind"];
type Of<K extends Kind> = Extract<Resource, { readonly kind: K }>;

/** `at` is the resource, of the kind that the row matches. */
function row<K extends Kind>(
  operation: string,
  methods: readonly string[],
  kind: K,
  bodyBytesMax: number,
  handle: (call: Call, at: Of<K>, exchange: Exchange<Target>) => Promise<void>,
): Row<Target> {
  return {
    operation,
    matches: (head, { resource }) => resource.kind === kind && methods.includes(head.method ?? ""),
    authenticate: (head, _target, snapshot, nowMs, sent) => ({
      principal: principalOf(head, snapshot, nowMs),
      body: bodyOf(head, sent),
    }),
    bodyBytesMax,
    idleMs: IDLE_MS,
    handle: (call, exchange) => handle(call, exchange.target.resource as Of<K>, exchange),
  };
}

/** The description of the surface holds nothing that needs a token. */
const open: Pick<Row<Target>, "authenticate"> = {
  authenticate: (head, _target, _snapshot, _nowMs, sent) => ({
    principal: { kind: "anonymous" },
    body: bodyOf(head, sent),
  }),
};

/** Whatever no other row matches: no resource, or not by this method. */
const nothing: Row<Target> = {
  ...row("Unknown", [], "unknown", 0, () => Promise.resolve()),
  matches: () => true,
  handle(_call, { target }) {
    const { kind } = target.resource;
    if (kind === "unknown") return Promise.reject(new Failure("NotFound", "There is no such resource"));
    const allow = METHODS[kind].join(", ");
    return Promise.reject(
      new Failure("MethodNotAllowed", `This resource answers ${allow} alone`, { headers: { Allow: allow } }),
    );
  },
};
