/** Buckets that stood in a file and stand nowhere any more: their data stay, and nobody reaches them. */
import { failureOf } from "../failure.ts";
import { type Document, type Page, type Storage, StorageError } from "../storage/storage.ts";
import { BUCKETS_PREFIX, isOfConfiguration } from "./documents.ts";

const PAGE = 500;
const ONE = { prefix: "", delimiter: undefined, after: undefined, limit: 1 };

/** Of those that a file ever named, which hold data and are not `served`: with `known`, only these are looked at. */
export async function findStrays(
  storage: Storage,
  served: ReadonlySet<string>,
  known: readonly string[] | undefined,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const strays: string[] = [];
  try {
    for (const bucket of new Set(known ?? (await configured(storage, signal)))) {
      if (!served.has(bucket) && (await holdsData(storage, bucket, signal))) strays.push(bucket);
    }
  } catch (error) {
    throw failureOf(error, "look up which buckets stand nowhere");
  }
  return strays;
}

async function configured(storage: Storage, signal: AbortSignal): Promise<readonly string[]> {
  const names: string[] = [];
  let after: string | undefined = "";
  while (after !== undefined) {
    const page: Page<Document, string> = await storage.documents(BUCKETS_PREFIX, after, PAGE, signal);
    for (const document of page.items) {
      const name = document.path.slice(BUCKETS_PREFIX.length);
      if (!name.includes("/") && isOfConfiguration(document)) names.push(name);
    }
    after = page.next;
  }
  return names;
}

async function holdsData(storage: Storage, bucket: string, signal: AbortSignal): Promise<boolean> {
  try {
    return (await storage.list(bucket, ONE, signal)).items.length > 0;
  } catch (error) {
    if (error instanceof StorageError && error.code === "no-bucket") return false;
    throw error;
  }
}
