// A store whose clients may make buckets, and buckets with MD5 ETags made in it.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CreateBucketCommand, PutBucketEncryptionCommand } from "@aws-sdk/client-s3";
import { s3Client } from "./clients.ts";
import { type Credentials, createFolders, type Store, startStore } from "./harness.ts";

const STORE = `
apiVersion: coffer.dev/v1alpha1
kind: EncryptedStore
metadata:
  name: default
spec:
  backend:
    type: Filesystem
  selfService:
    kmsProviderRef:
      name: local
    access:
      - name: admin
`;

export interface SelfService {
  readonly store: Store;
  /** Of the quickstart's bucket. */
  readonly app: Credentials;
  /** May make buckets; has none yet. */
  readonly admin: Credentials;
}

/** The quickstart's configuration, and self-service beside it. */
export async function startSelfService(): Promise<SelfService> {
  const folders = await createFolders();
  await writeFile(join(folders.configDir, "encryptedstore.yaml"), STORE);
  const store = await startStore({ folders });
  return { store, app: await store.credentials(), admin: await store.credentials("default-admin") };
}

/** The credentials of a new bucket whose objects have MD5 ETags unless their requests say otherwise. */
export async function createMd5Bucket(admin: Credentials, bucket: string): Promise<Credentials> {
  const s3 = s3Client(admin);
  try {
    await s3.send(new CreateBucketCommand({ Bucket: bucket }));
    const rule = { ApplyServerSideEncryptionByDefault: { SSEAlgorithm: "AES256" as const } };
    await s3.send(
      new PutBucketEncryptionCommand({ Bucket: bucket, ServerSideEncryptionConfiguration: { Rules: [rule] } }),
    );
  } finally {
    s3.destroy();
  }
  return { ...admin, bucket };
}
