/**
 * Which buckets there are: makes those that the configuration names, and those that self-service asks for, and knows
 * who made which. A bucket's document comes before the bucket, and goes after it.
 */
import type { BucketEntry } from "../config/config.ts";
import { Failure } from "../failure.ts";
import type { MadeBucket } from "../snapshot.ts";
import { type Document, type Storage, StorageError } from "../storage/storage.ts";
import { alreadyExists } from "./admit.ts";
import {
  BUCKETS_PREFIX,
  type BucketDocument,
  bucketPath,
  parseBucketDocument,
  printBucketDocument,
} from "./documents.ts";
import { settingsPath } from "./settings.ts";

export interface BucketInfo {
  readonly name: string;
  readonly createdMs: number;
}

/** Together, so that the storage can put many into one commit. */
const AT_ONCE = 64;
const PAGE = 500;
/** As many as a configuration may have. */
const MADE_MAX = 10_000;

/** `made` is the only list of them: shared with the snapshots. One process owns the storage, so nobody else makes any. */
export class Catalogue {
  readonly #storage: Storage;
  readonly #nowMs: () => number;
  readonly #made: Map<string, MadeBucket>;
  readonly #onSettingsGone: (bucket: string) => void;
  readonly #serial = createSerial();
  /** Steps of removals that are under way; none rejects. */
  readonly #removing = new Set<{ readonly bucket: string; readonly ended: Promise<unknown> }>();
  /** What was prepared last, or is being prepared. */
  #served: ReadonlySet<string> = new Set();

  constructor(
    storage: Storage,
    nowMs: () => number,
    made: Map<string, MadeBucket>,
    onSettingsGone: (bucket: string) => void,
  ) {
    this.#storage = storage;
    this.#nowMs = nowMs;
    this.#made = made;
    this.#onSettingsGone = onSettingsGone;
  }

  /** Makes what the configuration names: repeatable. */
  async prepare(buckets: readonly BucketEntry[], signal: AbortSignal): Promise<void> {
    this.#served = new Set(buckets.map(({ name }) => name));
    for (let from = 0; from < buckets.length; from += AT_ONCE) {
      await Promise.all(buckets.slice(from, from + AT_ONCE).map((bucket) => this.#prepareOne(bucket, signal)));
    }
  }

  /** A step of the removal of a bucket of the configuration. None begins once the bucket is to be served again, and what is
   *  made then is made after its end: it takes nothing along. */
  async removing<Result>(bucket: string, step: () => Promise<Result>): Promise<Result | undefined> {
    if (this.#served.has(bucket)) return undefined;
    const running = step();
    const one = { bucket, ended: running.catch(() => undefined) };
    this.#removing.add(one);
    try {
      return await running;
    } finally {
      this.#removing.delete(one);
    }
  }

  /** Reads which buckets self-service made. */
  async recall(signal: AbortSignal): Promise<void> {
    for await (const document of documentsOf(this.#storage, signal)) {
      const name = document.path.slice(BUCKETS_PREFIX.length);
      const { madeBy, createdMs } = parseBucketDocument(document.bytes, name);
      if (madeBy === "self-service" && (await exists(this.#storage, name, signal))) {
        this.#made.set(name, { name, createdMs });
      }
    }
  }

  async describe(names: readonly string[], signal: AbortSignal): Promise<readonly BucketInfo[]> {
    const infos: BucketInfo[] = [];
    for (const name of names) infos.push(this.#made.get(name) ?? (await this.#read(name, signal)));
    return infos;
  }

  /** For self-service. Throws BucketAlreadyOwnedByYou, BucketAlreadyExists or TooManyBuckets. */
  make(name: string, signal: AbortSignal): Promise<void> {
    return this.#serial(async () => {
      if (this.#made.has(name)) throw new Failure("BucketAlreadyOwnedByYou", `Bucket "${name}" exists already`);
      if (this.#made.size >= MADE_MAX) {
        throw new Failure("TooManyBuckets", `There may be at most ${MADE_MAX} buckets`);
      }
      if ((await this.#claim(name, "self-service", signal)) === "configuration") throw alreadyExists(name);
      // Of one that was removed half-way.
      await this.#removeSettings(name, signal);
      await this.#storage.createBucket(name, signal);
      this.#made.set(name, await this.#read(name, signal));
    });
  }

  /**
   * What self-service made; throws StorageError "not-empty". Its keys stay as they are, wrapped: a write that began before
   * could otherwise end in a new bucket of the same name, under a key that nobody has any more.
   */
  remove(name: string, signal: AbortSignal): Promise<void> {
    return this.#serial(async () => {
      try {
        await this.#storage.removeBucket(name, signal);
      } catch (error) {
        if (!(error instanceof StorageError && error.code === "no-bucket")) throw error;
      }
      this.#made.delete(name);
      await this.#removeSettings(name, signal);
      await removeDocument(this.#storage, bucketPath(name), signal);
    });
  }

  async #prepareOne({ name }: BucketEntry, signal: AbortSignal): Promise<void> {
    await Promise.all([...this.#removing].filter(({ bucket }) => bucket === name).map(({ ended }) => ended));
    const claimed = await this.#claim(name, "configuration", signal);
    if (claimed === "self-service") await this.#serial(() => this.#takeOver(name, signal));
    await this.#storage.createBucket(name, signal);
  }

  /** Who has the name now: whoever it was claimed for first. */
  async #claim(name: string, madeBy: Maker, signal: AbortSignal): Promise<Maker> {
    const path = bucketPath(name);
    const found = await this.#storage.document(path, signal);
    if (found !== undefined) return parseBucketDocument(found.bytes, name).madeBy;
    const document = printBucketDocument({ madeBy, createdMs: this.#nowMs() });
    try {
      await this.#storage.putDocument(path, document, "absent", signal);
      return madeBy;
    } catch (error) {
      // Somebody else was faster.
      if (!(error instanceof StorageError && error.code === "changed")) throw error;
      return this.#claim(name, madeBy, signal);
    }
  }

  /** A configuration that names what self-service made rules it from now on, also when it lets go of it again. */
  async #takeOver(name: string, signal: AbortSignal): Promise<void> {
    const { createdMs } = await this.#read(name, signal);
    const found = await this.#storage.document(bucketPath(name), signal);
    const document = printBucketDocument({ madeBy: "configuration", createdMs });
    await this.#storage.putDocument(bucketPath(name), document, found?.tag ?? "absent", signal);
    await this.#removeSettings(name, signal);
    this.#made.delete(name);
  }

  async #removeSettings(name: string, signal: AbortSignal): Promise<void> {
    await removeDocument(this.#storage, settingsPath(name), signal);
    this.#onSettingsGone(name);
  }

  async #read(name: string, signal: AbortSignal): Promise<BucketInfo> {
    const document = await this.#storage.document(bucketPath(name), signal);
    return { name, createdMs: document === undefined ? 0 : parseBucketDocument(document.bytes, name).createdMs };
  }
}

type Maker = BucketDocument["madeBy"];

/** One after the other. Who asked hears what came of his work; the next need not know. */
function createSerial(): <Result>(work: () => Promise<Result>) => Promise<Result> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const next = last.then(work);
    last = next.catch(() => undefined);
    return next;
  };
}

/** Those of the buckets themselves; what belongs to one of them stands below its name. */
async function* documentsOf(storage: Storage, signal: AbortSignal): AsyncGenerator<Document, void> {
  let after: string | undefined = "";
  while (after !== undefined) {
    const page: { items: readonly Document[]; next: string | undefined } = await storage.documents(
      BUCKETS_PREFIX,
      after,
      PAGE,
      signal,
    );
    for (const document of page.items) if (!document.path.slice(BUCKETS_PREFIX.length).includes("/")) yield document;
    after = page.next;
  }
}

/** A document without a bucket is what a making or a removal left that did not come to its end. */
async function exists(storage: Storage, bucket: string, signal: AbortSignal): Promise<boolean> {
  try {
    await storage.list(bucket, { prefix: "", delimiter: undefined, after: undefined, limit: 1 }, signal);
    return true;
  } catch (error) {
    if (error instanceof StorageError && error.code === "no-bucket") return false;
    throw error;
  }
}

async function removeDocument(storage: Storage, path: string, signal: AbortSignal): Promise<void> {
  const found = await storage.document(path, signal);
  if (found !== undefined) await storage.removeDocument(path, found.tag, signal);
}
