/**
 * The id of a store, 16 random bytes that every wrapped key is bound to. It is made once, in a storage that holds nothing
 * yet; in any other its absence is an error, since what is there was bound to an id that has gone.
 */
import { freshBytes } from "../../envelope/random.ts";
import { Failure, failureOf } from "../failure.ts";
import { type Storage, StorageError } from "../storage/storage.ts";

const PATH = "store";
const ID_BYTES = 16;

/** Reads the store's id, or makes it. `buckets` are looked into for objects without a document. Throws Failure. */
export async function openStoreId(
  storage: Storage,
  buckets: readonly string[],
  signal: AbortSignal,
): Promise<Uint8Array> {
  try {
    const found = await readStoreId(storage, signal);
    if (found !== undefined) return found;
    await refuseUnlessEmpty(storage, buckets, signal);
    const id = freshBytes(ID_BYTES);
    const document = { format: 1, storeId: Buffer.from(id).toString("hex") };
    await storage.putDocument(PATH, Buffer.from(JSON.stringify(document)), "absent", signal);
    return id;
  } catch (error) {
    // Another replica was faster.
    if (error instanceof StorageError && error.code === "changed") return openStoreId(storage, buckets, signal);
    throw failureOf(error, "open the store");
  }
}

async function readStoreId(storage: Storage, signal: AbortSignal): Promise<Uint8Array | undefined> {
  const document = await storage.document(PATH, signal);
  if (document === undefined) return undefined;
  const match = /^\{"format":1,"storeId":"([0-9a-f]{32})"\}$/.exec(Buffer.from(document.bytes).toString("utf8"));
  if (match?.[1] === undefined) throw new StorageError("damaged", "the document that holds the store's id is damaged");
  return new Uint8Array(Buffer.from(match[1], "hex"));
}

async function refuseUnlessEmpty(storage: Storage, buckets: readonly string[], signal: AbortSignal): Promise<void> {
  const documents = await storage.documents("", "", 1, signal);
  const found = documents.items.length > 0 || (await holdsObjects(storage, buckets, signal));
  if (!found) return;
  throw new Failure(
    "InternalError",
    'Cannot open the store: its document "store" is missing, but it is not empty; restore that document',
    { tamper: true },
  );
}

async function holdsObjects(storage: Storage, buckets: readonly string[], signal: AbortSignal): Promise<boolean> {
  const query = { prefix: "", delimiter: undefined, after: undefined, limit: 1 };
  for (const bucket of buckets) {
    try {
      if ((await storage.list(bucket, query, signal)).items.length > 0) return true;
    } catch (error) {
      if (!(error instanceof StorageError && error.code === "no-bucket")) throw error;
    }
  }
  return false;
}
