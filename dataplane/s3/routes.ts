/**
 * The table of S3: what becomes of every operation of its model. Who asks is judged by one authenticator; what an
 * operation means lies in objects/ and buckets/.
 */
import { Failure } from "../failure.ts";
import type { Protocol, Row } from "../http/table.ts";
import { completeMultipartUpload, XML_BYTES_MAX } from "./complete.ts";
import { refusal, sendFailure } from "./errors.ts";
import type { Handle, Needs } from "./handling.ts";
import { listObjects, listObjectsV2 } from "./listing.ts";
import type { Operation, Unnamed } from "./model.ts";
import {
  abortMultipartUpload,
  createMultipartUpload,
  listMultipartUploads,
  listParts,
  uploadPart,
} from "./multipart.ts";
import { getBucketLocation, headBucket, listBuckets } from "./service.ts";
import { createAuthenticator } from "./sigv4.ts";
import { BODY_BYTES_MAX, deleteObject, getObject, headObject, putObject } from "./single.ts";
import { parseTarget, type Target } from "./target.ts";
import {
  bucketHasEmpty,
  bucketLacks,
  getBucketAcl,
  getObjectAcl,
  getObjectTagging,
  objectWithoutLock,
  putBucketAcl,
  putObjectAcl,
} from "./unset.ts";
import { element } from "./xml.ts";

const IDLE_MS = 60_000;
const SLOW_ANSWER_MS = 10_000;
/** Bodies in chunks have headers and signatures between them; what is plain in them is bounded apart from this. */
const SENT_BYTES_MAX = BODY_BYTES_MAX + 1024 ** 3;

interface Entry {
  readonly handle: Handle;
  readonly bodyBytesMax: number;
}

/** What reads no body. */
const bare = (handle: Handle): Entry => ({ handle, bodyBytesMax: 0 });
/** What reads one. */
const reads = (handle: Handle, bodyBytesMax: number): Entry => ({ handle, bodyBytesMax });

/** Of the model, and not here. */
const absent: Entry = bare(async (_needs, _call, { target }) => {
  throw new Failure("NotImplemented", `The operation ${target.operation} is not supported`);
});

/** Those of every day come first: rows are tried in this order. */
const TABLE: Readonly<Record<Operation | Unnamed, Entry>> = {
  GetObject: bare(getObject),
  PutObject: reads(putObject, SENT_BYTES_MAX),
  HeadObject: bare(headObject),
  DeleteObject: bare(deleteObject),
  UploadPart: reads(uploadPart, SENT_BYTES_MAX),
  ListObjectsV2: bare(listObjectsV2),
  ListObjects: bare(listObjects),
  CreateMultipartUpload: bare(createMultipartUpload),
  CompleteMultipartUpload: reads(completeMultipartUpload, 2 * XML_BYTES_MAX),
  AbortMultipartUpload: bare(abortMultipartUpload),
  ListParts: bare(listParts),
  ListMultipartUploads: bare(listMultipartUploads),
  ListBuckets: bare(listBuckets),
  HeadBucket: bare(headBucket),
  GetBucketLocation: bare(getBucketLocation),

  CopyObject: absent,
  CreateBucket: absent,
  CreateBucketMetadataConfiguration: absent,
  CreateBucketMetadataTableConfiguration: absent,
  CreateSession: absent,
  DeleteBucket: absent,
  DeleteBucketAnalyticsConfiguration: absent,
  DeleteBucketCors: absent,
  DeleteBucketEncryption: absent,
  DeleteBucketIntelligentTieringConfiguration: absent,
  DeleteBucketInventoryConfiguration: absent,
  DeleteBucketLifecycle: absent,
  DeleteBucketMetadataConfiguration: absent,
  DeleteBucketMetadataTableConfiguration: absent,
  DeleteBucketMetricsConfiguration: absent,
  DeleteBucketOwnershipControls: absent,
  DeleteBucketPolicy: absent,
  DeleteBucketReplication: absent,
  DeleteBucketTagging: absent,
  DeleteBucketWebsite: absent,
  DeleteObjectAnnotation: absent,
  DeleteObjectTagging: absent,
  DeleteObjects: absent,
  DeletePublicAccessBlock: absent,
  GetBucketAbac: absent,
  GetBucketAccelerateConfiguration: bare(bucketHasEmpty("AccelerateConfiguration")),
  GetBucketAcl: bare(getBucketAcl),
  GetBucketAnalyticsConfiguration: bare(bucketLacks("NoSuchSetting", "analytics configuration of that id")),
  GetBucketCors: bare(bucketLacks("NoSuchCORSConfiguration", "CORS configuration")),
  GetBucketEncryption: absent,
  GetBucketIntelligentTieringConfiguration: bare(bucketLacks("NoSuchSetting", "tiering configuration of that id")),
  GetBucketInventoryConfiguration: bare(bucketLacks("NoSuchSetting", "inventory configuration of that id")),
  GetBucketLifecycleConfiguration: bare(bucketLacks("NoSuchLifecycleConfiguration", "lifecycle configuration")),
  GetBucketLogging: bare(bucketHasEmpty("BucketLoggingStatus")),
  GetBucketMetadataConfiguration: absent,
  GetBucketMetadataTableConfiguration: absent,
  GetBucketMetricsConfiguration: bare(bucketLacks("NoSuchSetting", "metrics configuration of that id")),
  GetBucketNotificationConfiguration: bare(bucketHasEmpty("NotificationConfiguration")),
  GetBucketOwnershipControls: bare(bucketLacks("OwnershipControlsNotFoundError", "ownership controls")),
  GetBucketPolicy: bare(bucketLacks("NoSuchBucketPolicy", "policy")),
  GetBucketPolicyStatus: bare(bucketLacks("NoSuchBucketPolicy", "policy")),
  GetBucketReplication: bare(bucketLacks("ReplicationConfigurationNotFoundError", "replication configuration")),
  GetBucketRequestPayment: bare(bucketHasEmpty("RequestPaymentConfiguration", element("Payer", "BucketOwner"))),
  GetBucketTagging: bare(bucketLacks("NoSuchTagSet", "tags")),
  GetBucketVersioning: bare(bucketHasEmpty("VersioningConfiguration")),
  GetBucketWebsite: bare(bucketLacks("NoSuchWebsiteConfiguration", "website configuration")),
  GetObjectAcl: bare(getObjectAcl),
  GetObjectAnnotation: absent,
  GetObjectAttributes: absent,
  GetObjectLegalHold: bare(objectWithoutLock),
  GetObjectLockConfiguration: bare(bucketLacks("ObjectLockConfigurationNotFoundError", "object lock configuration")),
  GetObjectRetention: bare(objectWithoutLock),
  GetObjectTagging: bare(getObjectTagging),
  GetObjectTorrent: absent,
  GetPublicAccessBlock: bare(bucketLacks("NoSuchPublicAccessBlockConfiguration", "public access block")),
  ListBucketAnalyticsConfigurations: bare(
    bucketHasEmpty("ListBucketAnalyticsConfigurationResult", element("IsTruncated", false)),
  ),
  ListBucketIntelligentTieringConfigurations: bare(
    bucketHasEmpty("ListBucketIntelligentTieringConfigurationsOutput", element("IsTruncated", false)),
  ),
  ListBucketInventoryConfigurations: bare(
    bucketHasEmpty("ListInventoryConfigurationsResult", element("IsTruncated", false)),
  ),
  ListBucketMetricsConfigurations: bare(
    bucketHasEmpty("ListMetricsConfigurationsResult", element("IsTruncated", false)),
  ),
  ListDirectoryBuckets: absent,
  ListObjectAnnotations: absent,
  ListObjectVersions: absent,
  PostObject: absent,
  PutBucketAbac: absent,
  PutBucketAccelerateConfiguration: absent,
  PutBucketAcl: bare(putBucketAcl),
  PutBucketAnalyticsConfiguration: absent,
  PutBucketCors: absent,
  PutBucketEncryption: absent,
  PutBucketIntelligentTieringConfiguration: absent,
  PutBucketInventoryConfiguration: absent,
  PutBucketLifecycleConfiguration: absent,
  PutBucketLogging: absent,
  PutBucketMetricsConfiguration: absent,
  PutBucketNotificationConfiguration: absent,
  PutBucketOwnershipControls: absent,
  PutBucketPolicy: absent,
  PutBucketReplication: absent,
  PutBucketRequestPayment: absent,
  PutBucketTagging: absent,
  PutBucketVersioning: absent,
  PutBucketWebsite: absent,
  PutObjectAcl: bare(putObjectAcl),
  PutObjectAnnotation: absent,
  PutObjectLegalHold: absent,
  PutObjectLockConfiguration: absent,
  PutObjectRetention: absent,
  PutObjectTagging: absent,
  PutPublicAccessBlock: absent,
  RenameObject: absent,
  RestoreObject: absent,
  SelectObjectContent: absent,
  UpdateBucketMetadataAnnotationTableConfiguration: absent,
  UpdateBucketMetadataInventoryTableConfiguration: absent,
  UpdateBucketMetadataJournalTableConfiguration: absent,
  UpdateObjectEncryption: absent,
  UploadPartCopy: absent,

  UnknownMethod: bare(async (_needs, _call, { target }) => {
    throw new Failure("MethodNotAllowed", `The method ${target.method} is not allowed here`);
  }),
  UnknownOperation: bare(async () => {
    throw new Failure("NotImplemented", "The request names sub-resources that make no operation of S3");
  }),
};

/** Whether an operation of the model is served, or answers 501 alone. */
export function isServed(operation: Operation): boolean {
  return TABLE[operation] !== absent;
}

/** The protocol of the listener on port 9000. */
export function createS3Protocol(needs: Omit<Needs, "slowAnswerMs"> & Partial<Needs>): Protocol<Target> {
  const all: Needs = { slowAnswerMs: SLOW_ANSWER_MS, ...needs };
  const authenticate = createAuthenticator();
  const row = ([operation, entry]: readonly [string, Entry]): Row<Target> => ({
    operation,
    matches: (_head, target) => target.operation === operation,
    authenticate,
    bodyBytesMax: entry.bodyBytesMax,
    idleMs: IDLE_MS,
    handle: (call, exchange) => entry.handle(all, call, exchange),
  });
  return {
    name: "s3",
    parse: parseTarget,
    rows: Object.entries(TABLE).map(row),
    fail: sendFailure,
    refuse: refusal,
  };
}
