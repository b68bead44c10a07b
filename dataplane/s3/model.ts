/**
 * Every operation of the S3 model and how a request names it: method, level and sub-resources. A request is exactly
 * one of them or none, so that one which names a sub-resource never falls through to another operation.
 */
import type { Fields } from "./fields.ts";

export type Level = "service" | "bucket" | "object";

type Shape = readonly [method: "GET" | "HEAD" | "PUT" | "POST" | "DELETE", level: Level, ...words: string[]];

/** Words are names of query parameters; those with a sign in them are made by `wordOf` and `dispatch`. */
const SHAPES = {
  AbortMultipartUpload: ["DELETE", "object", "uploadId"],
  CompleteMultipartUpload: ["POST", "object", "uploadId"],
  CopyObject: ["PUT", "object", "(copy)"],
  CreateBucket: ["PUT", "bucket"],
  CreateBucketMetadataConfiguration: ["POST", "bucket", "metadataConfiguration"],
  CreateBucketMetadataTableConfiguration: ["POST", "bucket", "metadataTable"],
  CreateMultipartUpload: ["POST", "object", "uploads"],
  CreateSession: ["GET", "bucket", "session"],
  DeleteBucket: ["DELETE", "bucket"],
  DeleteBucketAnalyticsConfiguration: ["DELETE", "bucket", "analytics+id"],
  DeleteBucketCors: ["DELETE", "bucket", "cors"],
  DeleteBucketEncryption: ["DELETE", "bucket", "encryption"],
  DeleteBucketIntelligentTieringConfiguration: ["DELETE", "bucket", "intelligent-tiering+id"],
  DeleteBucketInventoryConfiguration: ["DELETE", "bucket", "inventory+id"],
  DeleteBucketLifecycle: ["DELETE", "bucket", "lifecycle"],
  DeleteBucketMetadataConfiguration: ["DELETE", "bucket", "metadataConfiguration"],
  DeleteBucketMetadataTableConfiguration: ["DELETE", "bucket", "metadataTable"],
  DeleteBucketMetricsConfiguration: ["DELETE", "bucket", "metrics+id"],
  DeleteBucketOwnershipControls: ["DELETE", "bucket", "ownershipControls"],
  DeleteBucketPolicy: ["DELETE", "bucket", "policy"],
  DeleteBucketReplication: ["DELETE", "bucket", "replication"],
  DeleteBucketTagging: ["DELETE", "bucket", "tagging"],
  DeleteBucketWebsite: ["DELETE", "bucket", "website"],
  DeleteObject: ["DELETE", "object"],
  DeleteObjectAnnotation: ["DELETE", "object", "annotation", "annotationName"],
  DeleteObjectTagging: ["DELETE", "object", "tagging"],
  DeleteObjects: ["POST", "bucket", "delete"],
  DeletePublicAccessBlock: ["DELETE", "bucket", "publicAccessBlock"],
  GetBucketAbac: ["GET", "bucket", "abac"],
  GetBucketAccelerateConfiguration: ["GET", "bucket", "accelerate"],
  GetBucketAcl: ["GET", "bucket", "acl"],
  GetBucketAnalyticsConfiguration: ["GET", "bucket", "analytics+id"],
  GetBucketCors: ["GET", "bucket", "cors"],
  GetBucketEncryption: ["GET", "bucket", "encryption"],
  GetBucketIntelligentTieringConfiguration: ["GET", "bucket", "intelligent-tiering+id"],
  GetBucketInventoryConfiguration: ["GET", "bucket", "inventory+id"],
  GetBucketLifecycleConfiguration: ["GET", "bucket", "lifecycle"],
  GetBucketLocation: ["GET", "bucket", "location"],
  GetBucketLogging: ["GET", "bucket", "logging"],
  GetBucketMetadataConfiguration: ["GET", "bucket", "metadataConfiguration"],
  GetBucketMetadataTableConfiguration: ["GET", "bucket", "metadataTable"],
  GetBucketMetricsConfiguration: ["GET", "bucket", "metrics+id"],
  GetBucketNotificationConfiguration: ["GET", "bucket", "notification"],
  GetBucketOwnershipControls: ["GET", "bucket", "ownershipControls"],
  GetBucketPolicy: ["GET", "bucket", "policy"],
  GetBucketPolicyStatus: ["GET", "bucket", "policyStatus"],
  GetBucketReplication: ["GET", "bucket", "replication"],
  GetBucketRequestPayment: ["GET", "bucket", "requestPayment"],
  GetBucketTagging: ["GET", "bucket", "tagging"],
  GetBucketVersioning: ["GET", "bucket", "versioning"],
  GetBucketWebsite: ["GET", "bucket", "website"],
  GetObject: ["GET", "object"],
  GetObjectAcl: ["GET", "object", "acl"],
  GetObjectAnnotation: ["GET", "object", "annotation", "annotationName"],
  GetObjectAttributes: ["GET", "object", "attributes"],
  GetObjectLegalHold: ["GET", "object", "legal-hold"],
  GetObjectLockConfiguration: ["GET", "bucket", "object-lock"],
  GetObjectRetention: ["GET", "object", "retention"],
  GetObjectTagging: ["GET", "object", "tagging"],
  GetObjectTorrent: ["GET", "object", "torrent"],
  GetPublicAccessBlock: ["GET", "bucket", "publicAccessBlock"],
  HeadBucket: ["HEAD", "bucket"],
  HeadObject: ["HEAD", "object"],
  ListBucketAnalyticsConfigurations: ["GET", "bucket", "analytics"],
  ListBucketIntelligentTieringConfigurations: ["GET", "bucket", "intelligent-tiering"],
  ListBucketInventoryConfigurations: ["GET", "bucket", "inventory"],
  ListBucketMetricsConfigurations: ["GET", "bucket", "metrics"],
  ListBuckets: ["GET", "service"],
  ListDirectoryBuckets: ["GET", "service", "x-id=ListDirectoryBuckets"],
  ListMultipartUploads: ["GET", "bucket", "uploads"],
  ListObjectAnnotations: ["GET", "object", "annotation"],
  ListObjectVersions: ["GET", "bucket", "versions"],
  ListObjects: ["GET", "bucket"],
  ListObjectsV2: ["GET", "bucket", "list-type=2"],
  ListParts: ["GET", "object", "uploadId"],
  PostObject: ["POST", "bucket", "(form)"],
  PutBucketAbac: ["PUT", "bucket", "abac"],
  PutBucketAccelerateConfiguration: ["PUT", "bucket", "accelerate"],
  PutBucketAcl: ["PUT", "bucket", "acl"],
  PutBucketAnalyticsConfiguration: ["PUT", "bucket", "analytics+id"],
  PutBucketCors: ["PUT", "bucket", "cors"],
  PutBucketEncryption: ["PUT", "bucket", "encryption"],
  PutBucketIntelligentTieringConfiguration: ["PUT", "bucket", "intelligent-tiering+id"],
  PutBucketInventoryConfiguration: ["PUT", "bucket", "inventory+id"],
  PutBucketLifecycleConfiguration: ["PUT", "bucket", "lifecycle"],
  PutBucketLogging: ["PUT", "bucket", "logging"],
  PutBucketMetricsConfiguration: ["PUT", "bucket", "metrics+id"],
  PutBucketNotificationConfiguration: ["PUT", "bucket", "notification"],
  PutBucketOwnershipControls: ["PUT", "bucket", "ownershipControls"],
  PutBucketPolicy: ["PUT", "bucket", "policy"],
  PutBucketReplication: ["PUT", "bucket", "replication"],
  PutBucketRequestPayment: ["PUT", "bucket", "requestPayment"],
  PutBucketTagging: ["PUT", "bucket", "tagging"],
  PutBucketVersioning: ["PUT", "bucket", "versioning"],
  PutBucketWebsite: ["PUT", "bucket", "website"],
  PutObject: ["PUT", "object"],
  PutObjectAcl: ["PUT", "object", "acl"],
  PutObjectAnnotation: ["PUT", "object", "annotation", "annotationName"],
  PutObjectLegalHold: ["PUT", "object", "legal-hold"],
  PutObjectLockConfiguration: ["PUT", "bucket", "object-lock"],
  PutObjectRetention: ["PUT", "object", "retention"],
  PutObjectTagging: ["PUT", "object", "tagging"],
  PutPublicAccessBlock: ["PUT", "bucket", "publicAccessBlock"],
  RenameObject: ["PUT", "object", "renameObject"],
  RestoreObject: ["POST", "object", "restore"],
  SelectObjectContent: ["POST", "object", "select", "select-type"],
  UpdateBucketMetadataAnnotationTableConfiguration: ["PUT", "bucket", "metadataAnnotationTable"],
  UpdateBucketMetadataInventoryTableConfiguration: ["PUT", "bucket", "metadataInventoryTable"],
  UpdateBucketMetadataJournalTableConfiguration: ["PUT", "bucket", "metadataJournalTable"],
  UpdateObjectEncryption: ["PUT", "object", "encryption"],
  UploadPart: ["PUT", "object", "uploadId"],
  UploadPartCopy: ["PUT", "object", "(copy)", "uploadId"],
} as const satisfies Readonly<Record<string, Shape>>;

export type Operation = keyof typeof SHAPES;

/** How a request names it, for people: `GET /bucket?location`. */
export function requestLineOf(operation: Operation): string {
  const [method, level, ...words] = SHAPES[operation] as Shape;
  const path = { service: "/", bucket: "/bucket", object: "/bucket/name" }[level];
  const query = words.filter((word) => !word.startsWith("(")).map((word) => word.replace("+id", "&id"));
  const how = words.includes("(copy)") ? " with x-amz-copy-source" : words.includes("(form)") ? " with a form" : "";
  return `${method} ${path}${query.length === 0 ? "" : "?"}${query.join("&")}${how}`;
}

/** What a request asks for that is none: of a method that this level never takes, or of sub-resources that make no operation. */
export type Unnamed = "UnknownMethod" | "UnknownOperation";

export const OPERATIONS = Object.keys(SHAPES) as readonly Operation[];

const BY_KEY = new Map<string, Operation>();
const METHODS = new Set<string>();
const WORDS = new Set<string>(["partNumber"]);
for (const operation of OPERATIONS) {
  const [method, level, ...words] = SHAPES[operation] as Shape;
  BY_KEY.set([method, level, ...words.toSorted()].join(" "), operation);
  METHODS.add(`${method} ${level}`);
  for (const word of words) WORDS.add(word.split(/[+=]/, 1)[0] as string);
}
WORDS.delete("x-id");

/** Parameters whose `id` tells one configuration from the list of them. */
const WITH_ID: ReadonlySet<string> = new Set(["analytics", "intelligent-tiering", "inventory", "metrics"]);

export interface Named {
  readonly method: string;
  readonly level: Level;
  readonly query: ReadonlyMap<string, string>;
  readonly fields: Fields;
}

/** The operation that a request names. Parameters that name no sub-resource do not count. */
export function dispatch(named: Named): Operation | Unnamed {
  const { method, level, query, fields } = named;
  let words: string[] | undefined;
  const add = (word: string): void => {
    words ??= [];
    words.push(word);
  };
  for (const [name, value] of query) {
    if (WORDS.has(name)) {
      const word = wordOf(method, name, value, query);
      if (word !== undefined) add(word);
    }
  }
  if (method === "PUT" && level === "object" && fields.has("x-amz-copy-source")) add("(copy)");
  if (method === "POST" && level === "bucket" && isForm(fields)) add("(form)");
  if (level === "service" && query.get("x-id") === "ListDirectoryBuckets") add("x-id=ListDirectoryBuckets");
  const place = `${method} ${level}`;
  const key = words === undefined ? place : `${place} ${words.sort().join(" ")}`;
  const operation = BY_KEY.get(key);
  if (operation !== undefined) return operation;
  return METHODS.has(place) ? "UnknownOperation" : "UnknownMethod";
}

function wordOf(method: string, name: string, value: string, query: ReadonlyMap<string, string>): string | undefined {
  if (name === "list-type") return `list-type=${value}`;
  // A part of an object may be read; one is written only into an upload.
  if (name === "partNumber") return method === "PUT" && !query.has("uploadId") ? name : undefined;
  if (WITH_ID.has(name) && query.has("id")) return `${name}+id`;
  return name;
}

function isForm(fields: Fields): boolean {
  return fields.get("content-type")?.trimStart().toLowerCase().startsWith("multipart/form-data") === true;
}
