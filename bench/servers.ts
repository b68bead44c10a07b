// What is measured: the store of the bench, and other S3 servers that run already. Both are asked the same.

import { S3Client } from "./client.ts";
import type { Measuring } from "./load.ts";
import type { Peer } from "./options.ts";
import type { Encryption, Store } from "./store.ts";
import type { IdleLoop } from "./usage.ts";

export interface Server {
  readonly label: string;
  readonly measuring: Measuring;
  readonly clients: Readonly<Record<Encryption, S3Client>>;
}

export function storeServer(store: Store, idle: IdleLoop): Server {
  const client = (encryption: Encryption): S3Client => {
    const { name, credentials } = store.buckets[encryption];
    return new S3Client({ url: store.url, credentials, bucket: name, putHeaders: {} });
  };
  return {
    label: "coffer",
    measuring: {
      // Another one after a restart.
      get pid() {
        return store.pid;
      },
      admin: store.admin,
      idle,
    },
    clients: { on: client("on"), off: client("off") },
  };
}

export async function peerServer({ label, url, accessKeyId, secret, pid }: Peer, idle: IdleLoop): Promise<Server> {
  const credentials = { accessKeyId, secret, region: "us-east-1" };
  const client = (bucket: string, putHeaders: Record<string, string>): S3Client =>
    new S3Client({ url, credentials, bucket, putHeaders });
  const clients = {
    on: client("coffer-bench-encrypted", { "x-amz-server-side-encryption": "AES256" }),
    off: client("coffer-bench-plain", {}),
  };
  await clients.on.createBucket();
  await clients.off.createBucket();
  return { label, measuring: { pid, admin: undefined, idle }, clients };
}
