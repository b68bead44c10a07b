/** The data plane: wiring only. Every part is made here, given what it needs, and ended in the reverse order. */
import { openKms } from "../kms/open.ts";
import { parseKmsOptions } from "../kms/options.ts";
import { createAdmin, createAdminEntrance } from "./admin/routes.ts";
import { createAudit } from "./audit/audit.ts";
import { createBuckets } from "./buckets/buckets.ts";
import { ConfigError, type ProviderEntry, parseConfig } from "./config/config.ts";
import { type ConfigSource, readOwnEnvironment, type Whereabouts } from "./config/sources.ts";
import { createInFlight } from "./http/inflight.ts";
import { createListener, type Listener, type RequestFields } from "./http/listener.ts";
import { createEmptyJob, createJobs, createRewrapJob, runChecks } from "./jobs/jobs.ts";
import { createBucketKeys, createSettingsSealer, openStoreId, sweepKeys } from "./keys/keys.ts";
import { createLoading, documentsOf } from "./loading.ts";
import { createLineWriter, createLog, type LineWriter, type Log } from "./log.ts";
import { createMetrics, type Metrics } from "./metrics.ts";
import { createObjects } from "./objects/objects.ts";
import { createProbes } from "./probes.ts";
import { createRest } from "./rest/routes.ts";
import { createS3Protocol } from "./s3/routes.ts";
import { createLive, type MadeBucket, type OpenKms } from "./snapshot.ts";
import { createKeyDriver, createStandalone } from "./standalone/standalone.ts";
import { openStorage } from "./storage/open.ts";
import type { Storage } from "./storage/storage.ts";

const DRAIN_MS = 25_000;
const ADMIN_DRAIN_MS = 1_000;
const EVENT_EVERY_MS = 500;
const STANDARD_OUTPUT = 1;
const CHECK_FIRST_MS = 10 * 60_000;
const CHECK_EVERY_MS = 24 * 60 * 60_000;

async function main(): Promise<void> {
  const log = createLog("Info");
  const stopping = new AbortController();
  for (const name of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(name, () => stopping.abort(new Error(name)));
  try {
    const { where, source } = readOwnEnvironment();
    await serve(where, source, log, stopping.signal);
    log.info("shut down");
  } catch (error) {
    if (!stopping.signal.aborted) {
      if (error instanceof ConfigError) log.error("the configuration cannot be used", { problems: error.problems });
      else log.error("the data plane cannot start", { cause: error });
      process.exitCode = 1;
    }
  }
}

/** What it has opened it closes, also when the start fails half-way: a process that does not serve must end. */
async function serve(where: Whereabouts, source: ConfigSource, log: Log, signal: AbortSignal): Promise<void> {
  await using opened = new AsyncDisposableStack();
  const nowMs = Date.now;
  const metrics = createMetrics();
  const lines = createLineWriter(STANDARD_OUTPUT, () => metrics.auditLost());
  opened.defer(() => lines.flush());
  const audit = createAudit(lines, () => new Date(), metrics.tamper);
  const isAlone = await refuseBadSource(source);
  const report = (message: string, cause: unknown): void => log.warn(message, { cause });
  const storage = await openStorage({ type: "filesystem", folder: where.dataDir, report });
  opened.defer(() => storage.close());
  const configured = isAlone ? standaloneOf(where, source, storage, log, nowMs) : documentsOf(source);
  const { document } = await configured.read(signal);
  const made = new Map<string, MadeBucket>();
  const live = createLive(openWith(metrics), notClosed(log), made);
  opened.defer(() => live.close());
  const storeId = await openStoreId(
    storage,
    parseConfig(document).buckets.map(({ name }) => name),
    signal,
  );
  const keys = createBucketKeys({ storage, storeId, audit, nowMs });
  const buckets = createBuckets({ storage, sealer: createSettingsSealer(keys), audit, nowMs, made });
  await buckets.recall(signal);
  const objects = createObjects({ storage, keys, audit, nowMs, shownByDefault: buckets.shownByDefault, metrics });
  const inFlight = createInFlight();
  const kinds = [createRewrapJob(keys, objects, inFlight.some), createEmptyJob(storage, objects, buckets)];
  const jobs = createJobs({ storage, live, kinds, log, nowMs, inFlight });
  const probes = createProbes(live, nowMs);
  const loading = createLoading({
    source: configured,
    live,
    log,
    metrics,
    nowMs,
    prepare: buckets.prepare,
    onPublished() {
      jobs.poke();
      probes.poke();
    },
  });
  const closing = delayed(signal, where.shutdownDelayMs);
  const driverNeeds = { secretsDir: where.secretsDir, storage, audit, nowMs, reload: loading.reload, signal: closing };
  const keyDriver = isAlone ? createKeyDriver(driverNeeds) : undefined;
  const ports = { live, inFlight, log, metrics, requestLine: requestLine(lines, metrics) };
  const clients = { areServed: false };
  const admin = createListener({
    ...ports,
    live: createAdminEntrance(live),
    protocol: createAdmin({
      metrics,
      live,
      load: loading.state,
      probe: probes.resultOf,
      storageHealth: () => storage.health(),
      jobs: jobs.list,
      serving: () => clients.areServed,
      draining: () => signal.aborted,
    }),
  });
  const s3 = createListener({ ...ports, protocol: createS3Protocol({ objects, buckets, nowMs }) });
  const restNeeds = { objects, buckets, inFlight, nowMs, keyDriver, shutdown: closing, eventEveryMs: EVENT_EVERY_MS };
  const rest = createListener({ ...ports, protocol: createRest(restNeeds) });
  const works = [jobs.run, probes.run, loading.watch, sweepKeys(keys, live), checking(storage, log, metrics)];
  opened.defer(() => admin.drain(ADMIN_DRAIN_MS));
  await listen(admin, "COFFER_ADMIN_PORT", where.adminPort, where.listenAddress);
  await loading.loadFirst(signal);
  opened.use(inBackground(works));
  await serveClients(where, { s3, rest, log, clients }, closing);
}

interface Serving {
  readonly s3: Listener;
  readonly rest: Listener;
  readonly log: Log;
  readonly clients: { areServed: boolean };
}

/** Until the signal aborts; then what is in flight may finish, within its limit. */
async function serveClients(where: Whereabouts, { s3, rest, log, clients }: Serving, signal: AbortSignal) {
  const { listenAddress, s3Port, restPort, adminPort } = where;
  try {
    await listen(s3, "COFFER_S3_PORT", s3Port, listenAddress);
    await listen(rest, "COFFER_REST_PORT", restPort, listenAddress);
    clients.areServed = true;
    log.info("serving", { s3Port, restPort, adminPort });
    await aborted(signal);
    log.info("shutting down: what is in flight may finish");
  } finally {
    await Promise.all([s3.drain(DRAIN_MS), rest.drain(DRAIN_MS)]);
  }
}

function checking(storage: Storage, log: Log, metrics: Metrics): (signal: AbortSignal) => Promise<void> {
  return (signal) => runChecks({ storage, log, metrics, firstMs: CHECK_FIRST_MS, everyMs: CHECK_EVERY_MS }, signal);
}

function notClosed(log: Log): (error: unknown) => void {
  return (cause) => log.warn("a KMS client did not close", { cause });
}

/** Aborts so much later than the signal: whoever asks /readyz has time to see that no more should be sent here. */
function delayed(signal: AbortSignal, delayMs: number): AbortSignal {
  if (delayMs === 0) return signal;
  const closing = new AbortController();
  // A start that fails half-way has nobody to wait for.
  void aborted(signal).then(() => setTimeout(() => closing.abort(signal.reason), delayMs).unref());
  return closing.signal;
}

/** Runs until it is disposed of. */
function inBackground(works: readonly ((signal: AbortSignal) => Promise<void>)[]): AsyncDisposable {
  const working = new AbortController();
  const running = works.map((work) => work(working.signal));
  return {
    async [Symbol.asyncDispose]() {
      working.abort();
      await Promise.all(running);
    },
  };
}

/** Before anything is opened. Whether nobody rules: a person wrote the configuration, and no program. */
async function refuseBadSource(source: ConfigSource): Promise<boolean> {
  const read = await source.read();
  if (read.kind === "document") parseConfig(read.document);
  return read.kind === "wish";
}

function standaloneOf(where: Whereabouts, source: ConfigSource, storage: Storage, log: Log, nowMs: () => number) {
  const { dataDir, secretsDir, listenAddress, s3Port, restPort } = where;
  const host = ["0.0.0.0", "::"].includes(listenAddress) ? "127.0.0.1" : listenAddress;
  const shown = host.includes(":") ? `[${host}]` : host;
  const urls = { s3: `http://${shown}:${s3Port}`, rest: `http://${shown}:${restPort}` };
  return createStandalone({ source, dataDir, secretsDir, urls, storage, log, nowMs });
}

async function listen(listener: Listener, variable: string, port: number, address: string): Promise<void> {
  try {
    await listener.listen(port, address);
  } catch (cause) {
    throw new Error(`cannot listen on ${address}:${port} (${variable})`, { cause });
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

function requestLine(lines: LineWriter, metrics: Metrics): (fields: RequestFields) => void {
  return (fields) => {
    // Whoever watches the process asks every few seconds; only what goes wrong there is worth a line.
    if (fields.protocol === "admin" && fields.status === 200) return;
    metrics.bytes(fields.method === "PUT" || fields.method === "POST" ? "in" : "out", fields.doneBytes);
    const line = JSON.stringify({ time: new Date().toISOString(), request: fields.operation, ...fields });
    // A line of this kind may be lost where none can be written; requests fail by their audit line then.
    lines.write(line)?.catch(() => undefined);
  };
}

/** A client that waits for a KMS which does not answer hears 503 within two seconds, however patient the probe is. */
const KMS_ANSWER_WITHIN_MS = 1_900;

function openWith(metrics: Metrics): OpenKms {
  return (entry: ProviderEntry, signal) => {
    const parsed = parseKmsOptions(entry.options);
    if ("problems" in parsed) throw new ConfigError(parsed.problems.map(({ at, problem }) => `${at}: ${problem}`));
    return openKms(
      parsed.options,
      {
        timeoutMs: entry.timeoutMs,
        answerWithinMs: KMS_ANSWER_WITHIN_MS,
        negativeTtlMs: entry.cache.negativeTtlMs,
        attemptsMax: entry.attemptsMax,
        observe(event) {
          if (event.kind === "attempt") {
            metrics.kmsCall(entry.name, event.action, event.outcome, event.durationMs / 1000);
          } else if (event.kind === "breaker") {
            metrics.kmsBreaker(entry.name, event.state);
          }
        },
      },
      signal,
    );
  };
}

await main();
