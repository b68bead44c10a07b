/**
 * Keeps the process at its newest good configuration: loads the document, prepares its buckets, publishes it, and says
 * what came of it. A bad document is refused whole and the last good one stays.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type BucketEntry, ConfigError, parseConfig } from "./config/config.ts";
import { type ConfigSource, type Watched, watchChanges } from "./config/sources.ts";
import type { Log } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import type { Live, Snapshot } from "./snapshot.ts";

/** What /config and readiness say of the document. */
export interface LoadState {
  readonly loadedAtMs: number | undefined;
  readonly refused: { readonly atMs: number; readonly problems: readonly string[] } | undefined;
}

/** A document, and the fingerprint of what it was made of. */
export interface ReadDocument {
  readonly document: unknown;
  readonly hash: string;
}

/** Where documents come from. */
export interface Loadable extends Watched {
  /** Throws ConfigError. */
  read(signal: AbortSignal): Promise<ReadDocument>;
}

export interface Loading {
  state(): LoadState;
  /** The first document: throws ConfigError, since without one there is nothing to serve. */
  loadFirst(signal: AbortSignal): Promise<void>;
  /** Every later one, until the signal aborts. */
  watch(signal: AbortSignal): Promise<void>;
  /** Reads and publishes once more, now; throws what keeps it from being published. */
  reload(signal: AbortSignal): Promise<void>;
}

export interface LoadingNeeds {
  readonly source: Loadable;
  readonly live: Live;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly nowMs: () => number;
  /** Makes the buckets that a document names; run before it is published. */
  prepare(buckets: readonly BucketEntry[], signal: AbortSignal): Promise<void>;
  onPublished(snapshot: Snapshot): void;
}

const PREPARE_AGAIN_MS = 5000;

/** Documents that a program wrote. What a person wrote is no such document: who rules does not change while we run. */
export function documentsOf(source: ConfigSource): Loadable {
  return {
    path: source.path,
    isFolder: source.isFolder,
    fingerprint: source.fingerprint,
    async read() {
      const read = await source.read();
      if (read.kind === "document") return read;
      throw new ConfigError(["format: is missing, and this process began with a whole document"]);
    },
  };
}

export function createLoading(needs: LoadingNeeds): Loading {
  const { live, log, metrics, nowMs } = needs;
  let state: LoadState = { loadedAtMs: undefined, refused: undefined };
  let lastHash = "";
  let unprepared: readonly BucketEntry[] | undefined;
  let queue: Promise<unknown> = Promise.resolve();

  /** One after the other, so that what was read later is published later. */
  function publishNext(signal: AbortSignal): Promise<void> {
    const next = queue.then(async () => publish(await needs.source.read(signal), signal));
    queue = next.catch(() => undefined);
    return next;
  }

  async function publish({ document, hash }: ReadDocument, signal: AbortSignal): Promise<void> {
    await prepareServed(parseConfig(document).buckets, signal);
    const snapshot = await live.offer(document, signal);
    lastHash = hash;
    state = { loadedAtMs: nowMs(), refused: undefined };
    metrics.configLoaded(snapshot.config.revision, nowMs() / 1000);
    log.setLevel(snapshot.config.settings.logLevel);
    const { revision, buckets, providers } = snapshot.config;
    log.info("configuration loaded", { revision, buckets: buckets.length, providers: providers.length });
    for (const [provider, reason] of snapshot.openFailures)
      log.error("provider cannot be opened", { provider, reason });
    needs.onPublished(snapshot);
  }

  /** A storage that takes no write now does not keep the configuration from being published. */
  async function prepareServed(buckets: readonly BucketEntry[], signal: AbortSignal): Promise<void> {
    try {
      await needs.prepare(
        buckets.filter((bucket) => bucket.state === "serve"),
        signal,
      );
      unprepared = undefined;
    } catch (error) {
      unprepared = buckets;
      log.error("buckets cannot be made, it will be tried again", { cause: error });
    }
  }

  async function prepareAgain(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await sleep(PREPARE_AGAIN_MS, undefined, { signal, ref: false }).catch(() => undefined);
      if (unprepared !== undefined && !signal.aborted) await prepareServed(unprepared, signal);
    }
  }

  function refuse(error: unknown): void {
    const problems = error instanceof ConfigError ? error.problems : ["it cannot be loaded"];
    state = { ...state, refused: { atMs: nowMs(), problems } };
    metrics.configRefused();
    log.error("configuration refused, the last good one stays", { problems, cause: error });
  }

  return {
    state: () => state,
    loadFirst: publishNext,
    reload: publishNext,
    async watch(signal) {
      const onChange = () =>
        publishNext(signal).catch((error: unknown) => {
          if (!signal.aborted) refuse(error);
        });
      await Promise.all([watchChanges(needs.source, lastHash, onChange, signal), prepareAgain(signal)]);
    },
  };
}
