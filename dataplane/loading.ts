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
  /** Of what was read last without a problem, with the keys as they are now. */
  again(signal: AbortSignal): Promise<ReadDocument>;
}

export interface Loading {
  state(): LoadState;
  /** The first document: throws ConfigError, since without one there is nothing to serve. */
  loadFirst(signal: AbortSignal): Promise<void>;
  /** Every later one, until the signal aborts. */
  watch(signal: AbortSignal): Promise<void>;
  /** Publishes once more what was loaded last, now that keys have changed. What was refused since stays refused. */
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
  const read = async (): Promise<ReadDocument> => {
    const found = await source.read();
    if (found.kind === "document") return found;
    throw new ConfigError(["format: is missing, and this process began with a whole document"]);
  };
  return {
    path: source.path,
    isFolder: source.isFolder,
    fingerprint: source.fingerprint,
    read,
    again: read,
  };
}

export function createLoading(needs: LoadingNeeds): Loading {
  const { live, log, metrics, nowMs } = needs;
  let state: LoadState = { loadedAtMs: undefined, refused: undefined };
  let lastHash = "";
  let unprepared: readonly BucketEntry[] | undefined;
  const inTurn = createTurns();

  const publishNext = (signal: AbortSignal): Promise<void> =>
    inTurn(async () => {
      await publish(await needs.source.read(signal), signal);
      state = { ...state, refused: undefined };
    });

  async function publish({ document, hash }: ReadDocument, signal: AbortSignal): Promise<void> {
    await prepareServed(parseConfig(document).buckets, signal);
    const snapshot = await live.offer(document, signal);
    lastHash = hash;
    state = { ...state, loadedAtMs: nowMs() };
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
      // It rejects only when the signal aborts, and then the loop ends.
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
    reload: (signal) => inTurn(async () => publish(await needs.source.again(signal), signal)),
    async watch(signal) {
      const onChange = () =>
        publishNext(signal).catch((error: unknown) => {
          if (!signal.aborted) refuse(error);
        });
      await Promise.all([watchChanges(needs.source, lastHash, onChange, signal), prepareAgain(signal)]);
    },
  };
}

/** One after the other, so that what was read later is published later. A failure is for who asked, not for the next. */
function createTurns(): (work: () => Promise<void>) => Promise<void> {
  let queue: Promise<unknown> = Promise.resolve();
  return (work) => {
    const turn = queue.then(work);
    queue = turn.catch(() => undefined);
    return turn;
  };
}
