/**
 * The table of S3: what becomes of every operation of its model. Who asks is judged by one authenticator; what an
 * operation means lies in objects/ and buckets/.
 */
import { Failure } from "../failure.ts";
import type { Protocol, Row } from "../http/table.ts";
import { getObjectAttributes } from "./attributes.ts";
import { deleteObjectTagging, getObjectTagging, putObjectTagging, updateObjectEncryption } from "./changing.ts";
import { completeMultipartUpload } from "./complete.ts";
import { copyObject, uploadPartCopy } from "./copying.ts";
import { deleteObjects } from "./deleting.ts";
import { XML_BYTES_MAX } from "./document.ts";
import { refusal, sendFailure } from "./errors.ts";
import type { Handle, Needs } from "./handling.ts";
import { listObjects, listObjectsV2 } from "./listing.ts";
import {
  createBucket,
  deleteBucket,
  deleteBucketEncryption,
  getBucketEncryption,
  putBucketEncryption,
} from "./managing.ts";
import type { Operation, Unnamed } from "./model.ts";
import {
  abortMultipartUpload,
  createMultipartUpload,
  listMultipartUploads,
  listParts,
  uploadPart,
} from "./multipart.ts";
import { checkOwner } from "./owner.ts";
import { getBucketLocation, headBucket, listBuckets } from "./service.ts";
import { createAuthenticator } from "./sigv4.ts";
import { BODY_BYTES_MAX, deleteObject, getObject, headObject, putObject } from "./single.ts";
import { parseTarget, type Target } from "./target.ts";
import {
  bucketHasEmpty,
  bucketLacks,
  getBucketAcl,
  getObjectAcl,
  objectWithoutLock,
  putBucketAcl,
  putObjectAcl,
} from "./unset.ts";
import { element } from "./xml.ts";

const IDLE_MS = 60_000;
const SLOW_ANSWER_MS = 10_000;
/** Bodies in chunks have headers and signatures between them; what is plain in them is bounded apart from this. */
const SENT_BYTES_MAX = BODY_BYTES_MAX + 1024 ** 3;

/** As sent: cut into chunks, a document may be twice as long. */
const DOCUMENT_BYTES_MAX = 2 * XML_BYTES_MAX;

interface Entry {
  readonly handle: Handle;
  readonly bodyBytesMax: number;
  readonly support: Support;
}

/** What becomes of an operation: it is done, answered as where nothing is set, or refused with 501 for a reason. */
export type Support =
  | { readonly kind: "served" }
  | { readonly kind: "unset" }
  | { readonly kind: "refused"; readonly why: string };

/** What reads no body. */
const bare = (handle: Handle): Entry => ({ handle, bodyBytesMax: 0, support: { kind: "served" } });
/** What reads one. */
const reads = (handle: Handle, bodyBytesMax: number): Entry => ({ handle, bodyBytesMax, support: { kind: "served" } });
/** A feature that is not there, asked for what is set of it. */
const unset = (handle: Handle): Entry => ({ handle, bodyBytesMax: 0, support: { kind: "unset" } });

/** Of the model, and not here. */
const absent = (why: string): Entry => ({
  async handle(_needs, _call, { target }) {
    throw new Failure("NotImplemented", `The operation ${target.operation} is not supported`);
  },
  bodyBytesMax: 0,
  support: { kind: "refused", why },
});

const NO_ANALYTICS = absent("Metrics and audit lines tell how a store is used; there is one kind of storage.");
const NO_ANNOTATIONS = absent("Objects have metadata and tags.");
const NO_CORS = absent("Browsers are not served yet.");
const NO_DIRECTORIES = absent("There are no directory buckets.");
const NO_LIFECYCLE = absent("Objects do not expire yet.");
const NO_LOCK = absent("Objects cannot be locked yet.");
const NO_POLICY = absent("Rights come with the configuration; policies are not there yet.");
const NO_PUBLIC = absent("Nothing is public, and nothing can be made public.");
const NO_REPLICATION = absent("Replication is left to the storage.");
const NO_TABLES = absent("There are no tables of metadata.");
const NO_TAGS = absent("Buckets have no tags: their resources have labels.");
const NO_VERSIONS = absent("Versions are not kept yet.");
const NO_WEBSITE = absent("Websites are not served.");

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
  CompleteMultipartUpload: reads(completeMultipartUpload, DOCUMENT_BYTES_MAX),
  AbortMultipartUpload: bare(abortMultipartUpload),
  ListParts: bare(listParts),
  ListMultipartUploads: bare(listMultipartUploads),
  ListBuckets: bare(listBuckets),
  HeadBucket: bare(headBucket),
  GetBucketLocation: bare(getBucketLocation),

  CopyObject: bare(copyObject),
  CreateBucket: reads(createBucket, DOCUMENT_BYTES_MAX),
  CreateBucketMetadataConfiguration: NO_TABLES,
  CreateBucketMetadataTableConfiguration: NO_TABLES,
  CreateSession: NO_DIRECTORIES,
  DeleteBucket: bare(deleteBucket),
  DeleteBucketAnalyticsConfiguration: NO_ANALYTICS,
  DeleteBucketCors: NO_CORS,
  DeleteBucketEncryption: bare(deleteBucketEncryption),
  DeleteBucketIntelligentTieringConfiguration: NO_ANALYTICS,
  DeleteBucketInventoryConfiguration: NO_ANALYTICS,
  DeleteBucketLifecycle: NO_LIFECYCLE,
  DeleteBucketMetadataConfiguration: NO_TABLES,
  DeleteBucketMetadataTableConfiguration: NO_TABLES,
  DeleteBucketMetricsConfiguration: NO_ANALYTICS,
  DeleteBucketOwnershipControls: NO_PUBLIC,
  DeleteBucketPolicy: NO_POLICY,
  DeleteBucketReplication: NO_REPLICATION,
  DeleteBucketTagging: NO_TAGS,
  DeleteBucketWebsite: NO_WEBSITE,
  DeleteObjectAnnotation: NO_ANNOTATIONS,
  DeleteObjectTagging: bare(deleteObjectTagging),
  DeleteObjects: reads(deleteObjects, DOCUMENT_BYTES_MAX),
  DeletePublicAccessBlock: NO_PUBLIC,
  GetBucketAbac: absent("Rights come from credentials, not from tags."),
  GetBucketAccelerateConfiguration: unset(bucketHasEmpty("AccelerateConfiguration")),
  GetBucketAcl: unset(getBucketAcl),
  GetBucketAnalyticsConfiguration: unset(bucketLacks("NoSuchSetting", "analytics configuration of that id")),
  GetBucketCors: unset(bucketLacks("NoSuchCORSConfiguration", "CORS configuration")),
  GetBucketEncryption: bare(getBucketEncryption),
  GetBucketIntelligentTieringConfiguration: unset(bucketLacks("NoSuchSetting", "tiering configuration of that id")),
  GetBucketInventoryConfiguration: unset(bucketLacks("NoSuchSetting", "inventory configuration of that id")),
  GetBucketLifecycleConfiguration: unset(bucketLacks("NoSuchLifecycleConfiguration", "lifecycle configuration")),
  GetBucketLogging: unset(bucketHasEmpty("BucketLoggingStatus")),
  GetBucketMetadataConfiguration: NO_TABLES,
  GetBucketMetadataTableConfiguration: NO_TABLES,
  GetBucketMetricsConfiguration: unset(bucketLacks("NoSuchSetting", "metrics configuration of that id")),
  GetBucketNotificationConfiguration: unset(bucketHasEmpty("NotificationConfiguration")),
  GetBucketOwnershipControls: unset(bucketLacks("OwnershipControlsNotFoundError", "ownership controls")),
  GetBucketPolicy: unset(bucketLacks("NoSuchBucketPolicy", "policy")),
  GetBucketPolicyStatus: unset(bucketLacks("NoSuchBucketPolicy", "policy")),
  GetBucketReplication: unset(bucketLacks("ReplicationConfigurationNotFoundError", "replication configuration")),
  GetBucketRequestPayment: unset(bucketHasEmpty("RequestPaymentConfiguration", element("Payer", "BucketOwner"))),
  GetBucketTagging: unset(bucketLacks("NoSuchTagSet", "tags")),
  GetBucketVersioning: unset(bucketHasEmpty("VersioningConfiguration")),
  GetBucketWebsite: unset(bucketLacks("NoSuchWebsiteConfiguration", "website configuration")),
  GetObjectAcl: unset(getObjectAcl),
  GetObjectAnnotation: NO_ANNOTATIONS,
  GetObjectAttributes: bare(getObjectAttributes),
  GetObjectLegalHold: unset(objectWithoutLock),
  GetObjectLockConfiguration: unset(bucketLacks("ObjectLockConfigurationNotFoundError", "object lock configuration")),
  GetObjectRetention: unset(objectWithoutLock),
  GetObjectTagging: bare(getObjectTagging),
  GetObjectTorrent: absent("S3 itself has given it up."),
  GetPublicAccessBlock: unset(bucketLacks("NoSuchPublicAccessBlockConfiguration", "public access block")),
  ListBucketAnalyticsConfigurations: unset(
    bucketHasEmpty("ListBucketAnalyticsConfigurationResult", element("IsTruncated", false)),
  ),
  ListBucketIntelligentTieringConfigurations: unset(
    bucketHasEmpty("ListBucketIntelligentTieringConfigurationsOutput", element("IsTruncated", false)),
  ),
  ListBucketInventoryConfigurations: unset(
    bucketHasEmpty("ListInventoryConfigurationsResult", element("IsTruncated", false)),
  ),
  ListBucketMetricsConfigurations: unset(
    bucketHasEmpty("ListMetricsConfigurationsResult", element("IsTruncated", false)),
  ),
  ListDirectoryBuckets: NO_DIRECTORIES,
  ListObjectAnnotations: NO_ANNOTATIONS,
  ListObjectVersions: NO_VERSIONS,
  PostObject: absent("Forms are not taken yet."),
  PutBucketAbac: absent("Rights come from credentials, not from tags."),
  PutBucketAccelerateConfiguration: absent("There is one way to a store."),
  PutBucketAcl: unset(putBucketAcl),
  PutBucketAnalyticsConfiguration: NO_ANALYTICS,
  PutBucketCors: NO_CORS,
  PutBucketEncryption: reads(putBucketEncryption, DOCUMENT_BYTES_MAX),
  PutBucketIntelligentTieringConfiguration: NO_ANALYTICS,
  PutBucketInventoryConfiguration: NO_ANALYTICS,
  PutBucketLifecycleConfiguration: NO_LIFECYCLE,
  PutBucketLogging: absent("The audit lines of the process are the access log."),
  PutBucketMetricsConfiguration: NO_ANALYTICS,
  PutBucketNotificationConfiguration: absent("Nothing is told of events: the audit lines are a stream."),
  PutBucketOwnershipControls: NO_PUBLIC,
  PutBucketPolicy: NO_POLICY,
  PutBucketReplication: NO_REPLICATION,
  PutBucketRequestPayment: absent("Nobody pays here."),
  PutBucketTagging: NO_TAGS,
  PutBucketVersioning: NO_VERSIONS,
  PutBucketWebsite: NO_WEBSITE,
  PutObjectAcl: unset(putObjectAcl),
  PutObjectAnnotation: NO_ANNOTATIONS,
  PutObjectLegalHold: NO_LOCK,
  PutObjectLockConfiguration: NO_LOCK,
  PutObjectRetention: NO_LOCK,
  PutObjectTagging: reads(putObjectTagging, DOCUMENT_BYTES_MAX),
  PutPublicAccessBlock: NO_PUBLIC,
  RenameObject: NO_DIRECTORIES,
  RestoreObject: absent("There is no archive."),
  SelectObjectContent: absent("Objects are not looked into."),
  UpdateBucketMetadataAnnotationTableConfiguration: NO_ANNOTATIONS,
  UpdateBucketMetadataInventoryTableConfiguration: NO_TABLES,
  UpdateBucketMetadataJournalTableConfiguration: NO_TABLES,
  UpdateObjectEncryption: reads(updateObjectEncryption, DOCUMENT_BYTES_MAX),
  UploadPartCopy: bare(uploadPartCopy),

  UnknownMethod: bare(async (_needs, _call, { target }) => {
    throw new Failure("MethodNotAllowed", `The method ${target.method} is not allowed here`);
  }),
  UnknownOperation: bare(async () => {
    throw new Failure("NotImplemented", "The request names sub-resources that make no operation of S3");
  }),
};

export function supportOf(operation: Operation): Support {
  return TABLE[operation].support;
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
    async handle(call, exchange) {
      checkOwner(exchange.target);
      await entry.handle(all, call, exchange);
    },
  });
  return {
    name: "s3",
    parse: parseTarget,
    rows: Object.entries(TABLE).map(row),
    fail: sendFailure,
    refuse: refusal,
  };
}
