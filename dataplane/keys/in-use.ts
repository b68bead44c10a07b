/** Which KMS keys the bucket keys of a store are wrapped by, whatever the configuration says. */
import { parseBucketKeyRecord } from "../../envelope/record.ts";
import type { ProviderType } from "../../kms/kms.ts";
import { failureOf } from "../failure.ts";
import type { Document, Page, Storage } from "../storage/storage.ts";

const BUCKETS_PREFIX = "bucket/";
const RECORD_PATH = /^bucket\/[^/]+\/key\/[0-9a-f]+$/;
const PAGE = 500;

/** The ids of the KMS keys of that type. A record that cannot be read names none: its own bucket tells of it. */
export async function kmsKeysInUse(
  storage: Storage,
  provider: ProviderType,
  signal: AbortSignal,
): Promise<ReadonlySet<string>> {
  const ids = new Set<string>();
  let after: string | undefined = "";
  while (after !== undefined) {
    const page: Page<Document, string> = await storage
      .documents(BUCKETS_PREFIX, after, PAGE, signal)
      .catch((error: unknown) => {
        throw failureOf(error, "look up which KMS keys are in use");
      });
    for (const document of page.items) {
      const wrapped = RECORD_PATH.test(document.path) ? wrappedIn(document) : undefined;
      if (wrapped?.provider === provider) ids.add(wrapped.kmsKeyId);
    }
    after = page.next;
  }
  return ids;
}

function wrappedIn({ bytes }: Document) {
  try {
    return parseBucketKeyRecord(bytes).wrapped;
  } catch {
    return undefined;
  }
}
