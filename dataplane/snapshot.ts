/**
 * One configuration and all that was opened from it, replaced whole. `Live` publishes the newest, counts who still
 * works with an older one, and closes what no newer snapshot uses when the last of them leaves.
 */
import { createHash } from "node:crypto";
import type { Kms } from "../kms/kms.ts";
import type { Credential } from "./access/access.ts";
import type { BucketEntry, DataPlaneConfig, ProviderEntry, SelfServiceEntry } from "./config/config.ts";
import { configHash, parseConfig } from "./config/config.ts";

/**
 * A bucket that a self-service credential made. Another object each time that one of this name is made, so that nothing
 * which was kept of an earlier one is taken for it.
 */
export interface MadeBucket {
  readonly name: string;
  readonly createdMs: number;
}

/** Those that there are. State, not configuration: it changes under a snapshot, and buckets/ keeps it. */
export type MadeBuckets = ReadonlyMap<string, MadeBucket>;

/** The same as entries, under the rules of one configuration; none that the configuration has itself. */
export interface MadeEntries {
  get(name: string): BucketEntry | undefined;
  all(): readonly BucketEntry[];
}

export interface Snapshot {
  readonly config: DataPlaneConfig;
  readonly hash: string;
  /** By access key id, and by the hex SHA-256 of a bearer token. */
  readonly credentials: ReadonlyMap<string, Credential>;
  /** That the configuration has. */
  readonly buckets: ReadonlyMap<string, BucketEntry>;
  readonly made: MadeEntries;
  readonly providers: ReadonlyMap<string, ProviderEntry>;
  /** By provider name; shared with the snapshot before where nothing changed. Missing: it could not be opened. */
  readonly kms: ReadonlyMap<string, Kms>;
  /** By provider name: why it could not be opened, or why an older client goes on in its place. */
  readonly openFailures: ReadonlyMap<string, string>;
}

export type OpenKms = (entry: ProviderEntry, signal: AbortSignal) => Promise<Kms>;

export interface Live {
  /** Counted: pair each with `leave`. Throws an assertion before the first configuration. */
  enter(): Snapshot;
  leave(snapshot: Snapshot): void;
  /** The published one, uncounted: for a look that outlives no await. */
  peek(): Snapshot | undefined;
  /** Throws ConfigError for a document that does not parse; everything else is published. */
  offer(document: unknown, signal: AbortSignal): Promise<Snapshot>;
  close(): Promise<void>;
}

interface OpenedKms {
  readonly key: string;
  readonly kms: Kms;
  users: number;
}

interface Published {
  readonly snapshot: Snapshot;
  readonly opened: readonly OpenedKms[];
  calls: number;
  superseded: boolean;
}

export function createLive(
  openKms: OpenKms,
  onCloseFailure: (error: unknown) => void,
  made: MadeBuckets = new Map(),
): Live {
  const published = createPublished(onCloseFailure);
  let queue: Promise<unknown> = Promise.resolve();

  async function publish(config: DataPlaneConfig, signal: AbortSignal): Promise<Snapshot> {
    const { kms, openFailures, opened } = await openAll(config, published.current(), openKms, signal);
    const buckets = new Map(config.buckets.map((bucket) => [bucket.name, bucket]));
    const snapshot: Snapshot = {
      config,
      hash: configHash(config),
      credentials: credentialsOf(config),
      buckets,
      made: createMadeEntries(config.selfService, buckets, made),
      providers: new Map(config.providers.map((provider) => [provider.name, provider])),
      kms,
      openFailures,
    };
    published.replace(snapshot, opened);
    return snapshot;
  }

  return {
    enter: published.enter,
    leave: published.leave,
    peek: () => published.current()?.snapshot,
    async offer(document, signal) {
      const config = parseConfig(document);
      const next = queue.then(() => publish(config, signal));
      // Told to who offered it; the next document does not wait for a good one.
      queue = next.catch(() => undefined);
      return next;
    },
    async close() {
      await queue;
      await published.close();
    },
  };
}

/** Counts who works with which snapshot, and who uses which client. */
function createPublished(onCloseFailure: (error: unknown) => void) {
  let current: Published | undefined;
  const bySnapshot = new Map<Snapshot, Published>();
  const closing = new Set<Promise<void>>();

  function release(published: Published): void {
    bySnapshot.delete(published.snapshot);
    for (const opened of published.opened) {
      opened.users -= 1;
      if (opened.users > 0) continue;
      const closed: Promise<void> = opened.kms.close().catch(onCloseFailure);
      closing.add(closed);
      void closed.finally(() => closing.delete(closed));
    }
  }

  function retire(published: Published): void {
    published.superseded = true;
    if (published.calls === 0) release(published);
  }

  return {
    current: () => current,
    replace(snapshot: Snapshot, opened: readonly OpenedKms[]): void {
      for (const one of opened) one.users += 1;
      const previous = current;
      current = { snapshot, opened, calls: 0, superseded: false };
      bySnapshot.set(snapshot, current);
      if (previous !== undefined) retire(previous);
    },
    enter(): Snapshot {
      if (current === undefined) throw new Error("no configuration has been published yet");
      current.calls += 1;
      return current.snapshot;
    },
    leave(snapshot: Snapshot): void {
      const published = bySnapshot.get(snapshot);
      if (published === undefined) throw new Error("left a snapshot more often than it was entered");
      published.calls -= 1;
      if (published.superseded && published.calls === 0) release(published);
    },
    async close(): Promise<void> {
      if (current !== undefined) retire(current);
      await Promise.all(closing);
    },
  };
}

/** Opens what is new; what did not change is taken from the snapshot before, and so is what cannot be opened now. */
async function openAll(config: DataPlaneConfig, current: Published | undefined, openKms: OpenKms, signal: AbortSignal) {
  const before = new Map(current?.opened.map((opened) => [opened.key, opened]));
  const kms = new Map<string, Kms>();
  const openFailures = new Map<string, string>();
  const used = new Set<OpenedKms>();
  for (const entry of config.providers) {
    const key = providerKey(entry);
    let opened = before.get(key);
    if (opened === undefined) {
      try {
        opened = { key, kms: await openKms(entry, signal), users: 0 };
      } catch (error) {
        openFailures.set(entry.name, error instanceof Error ? error.message : "cannot be opened");
        opened = current?.opened.find((candidate) => candidate.kms === current.snapshot.kms.get(entry.name));
      }
    }
    if (opened === undefined) continue;
    kms.set(entry.name, opened.kms);
    used.add(opened);
  }
  return { kms, openFailures, opened: [...used] };
}

/** The bucket of that name, configured or made. */
export function bucketOf({ buckets, made }: Snapshot, name: string): BucketEntry | undefined {
  return buckets.get(name) ?? made.get(name);
}

/** One object for each bucket as long as it is: what is remembered of an entry is remembered by its identity. */
export function createMadeEntries(
  rules: SelfServiceEntry | undefined,
  configured: ReadonlyMap<string, BucketEntry>,
  made: MadeBuckets,
): MadeEntries {
  const known = new WeakMap<MadeBucket, BucketEntry>();
  const get = (name: string): BucketEntry | undefined => {
    const bucket = made.get(name);
    if (bucket === undefined || rules === undefined || configured.has(name)) return undefined;
    const entry = known.get(bucket) ?? { ...rules, name, state: "serve" as const, credentials: [] };
    known.set(bucket, entry);
    return entry;
  };
  return { get, all: () => [...made.keys()].flatMap((name) => get(name) ?? []) };
}

/** Two entries with one key may share one client. */
function providerKey(entry: ProviderEntry): string {
  const { revision: _revision, madeFrom: _madeFrom, resource: _resource, ...rest } = entry;
  return createHash("sha256").update(JSON.stringify(rest)).digest("hex");
}

function credentialsOf(config: DataPlaneConfig): Map<string, Credential> {
  const credentials = new Map<string, Credential>();
  const add = (credential: Credential): void => {
    credentials.set(credential.configured.accessKeyId, credential);
    credentials.set(credential.configured.tokenSha256, credential);
  };
  for (const bucket of config.buckets) {
    for (const configured of bucket.credentials) add({ configured, bucket: bucket.name, selfService: false });
  }
  for (const configured of config.selfService?.credentials ?? []) {
    add({ configured, bucket: undefined, selfService: true });
  }
  return credentials;
}
