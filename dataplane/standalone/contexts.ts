/**
 * The context of each bucket that stands in a file. All that a bucket holds is bound to it, so it is remembered beside the
 * bucket's keys, and a file that says another is refused. What is emptied for good takes its memory along.
 */
import { isDeepStrictEqual } from "node:util";
import type { DataPlaneConfig } from "../config/config.ts";
import type { StandaloneWish } from "../config/sources.ts";
import { failureOf } from "../failure.ts";
import { type Document, type Storage, StorageError, type Tag } from "../storage/storage.ts";
import { bucketPath, isOfConfiguration, membersOf } from "./documents.ts";

type Bucket = StandaloneWish["buckets"][number];
type Context = Bucket["context"];

export interface JudgedContexts {
  readonly problems: readonly string[];
  /** Not yet remembered. */
  readonly fresh: readonly Fresh[];
}

interface Fresh {
  readonly bucket: Bucket;
  /** Of what is remembered in its place. */
  readonly ifTag: Tag | "absent";
}

/** `context`: undefined where nobody knows. `ifTag`: undefined where there is nothing to remember. */
interface Known {
  readonly context: Context | undefined;
  readonly ifTag: Tag | "absent" | undefined;
}

const STORE_PATH = "store";

/** `before`: the configuration that was made last. */
export async function judgeContexts(
  storage: Storage,
  buckets: readonly Bucket[],
  before: DataPlaneConfig | undefined,
  signal: AbortSignal,
): Promise<JudgedContexts> {
  const problems: string[] = [];
  const fresh: Fresh[] = [];
  const inForce = new Map(before?.buckets.map(({ name, context }) => [name, context]));
  try {
    for (const bucket of buckets) {
      const { context = inForce.get(bucket.name), ifTag } = await readKnown(storage, bucket.name, signal);
      if (context !== undefined && !isDeepStrictEqual(context, bucket.context)) {
        problems.push(
          `${bucket.contextPlace}: cannot be changed: all that the bucket holds is bound to the one it has`,
        );
      }
      if (ifTag !== undefined) fresh.push({ bucket, ifTag });
    }
  } catch (error) {
    throw failureOf(error, "look up the contexts of the buckets");
  }
  return { problems, fresh };
}

/**
 * Durable when it resolves. A store without an id is not opened yet, and must stay empty until it is: what it is opened
 * for is read once more then.
 */
export async function keepContexts(storage: Storage, fresh: readonly Fresh[], signal: AbortSignal): Promise<void> {
  if (fresh.length === 0 || (await storage.document(STORE_PATH, signal)) === undefined) return;
  const puts = fresh.map(({ bucket: { name, context }, ifTag }) =>
    storage.putDocument(contextPath(name), Buffer.from(JSON.stringify({ format: 1, context })), ifTag, signal),
  );
  await Promise.all(puts);
}

async function readKnown(storage: Storage, bucket: string, signal: AbortSignal): Promise<Known> {
  const own = await storage.document(bucketPath(bucket), signal);
  const kept = await storage.document(contextPath(bucket), signal);
  // Who made it by request gave it none.
  if (own !== undefined && !isOfConfiguration(own)) {
    return { context: {}, ifTag: kept?.tag ?? "absent" };
  }
  if (kept !== undefined) return { context: contextIn(kept, bucket), ifTag: undefined };
  const { items } = await storage.documents(`${bucketPath(bucket)}/`, "", 1, signal);
  if (items.length === 0) return { context: undefined, ifTag: "absent" };
  // Of what was removed by request, the keys stay. What is there besides is older than this memory.
  return own === undefined ? { context: {}, ifTag: "absent" } : { context: undefined, ifTag: undefined };
}

function contextPath(bucket: string): string {
  return `${bucketPath(bucket)}/context`;
}

function contextIn(document: Document, bucket: string): Context {
  const { format, context } = membersOf(document);
  const isContext = typeof context === "object" && context !== null;
  if (format === 1 && isContext && Object.values(context).every((one) => typeof one === "string")) {
    return context as Context;
  }
  throw new StorageError("damaged", `the document "${contextPath(bucket)}" cannot be read`);
}
