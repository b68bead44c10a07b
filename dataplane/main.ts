/** The data plane: wiring only. Every part is made here, given what it needs, and ended in the reverse order. */
import { openKms } from "../kms/open.ts";
import { parseKmsOptions } from "../kms/options.ts";
import { createAudit } from "./audit/audit.ts";
import { createBuckets } from "./buckets/buckets.ts";
import { ConfigError, type ProviderEntry, parseConfig } from "./config/config.ts";
import { readDocument, readOwnEnvironment, type Whereabouts } from "./config/sources.ts";
import { createInFlight } from "./http/inflight.ts";
import { createListener } from "./http/listener.ts";
import { createEmptyJob, createJobs, createRewrapJob } from "./jobs/jobs.ts";
import { createBucketKeys, createSettingsSealer, openStoreId } from "./keys/keys.ts";
import { createLoading } from "./loading.ts";
import { createLineWriter, createLog, type Log } from "./log.ts";
import { createMetrics, type Metrics } from "./metrics.ts";
import { createObjects } from "./objects/objects.ts";
import { createProbes } from "./probes.ts";
import { createS3Protocol } from "./s3/routes.ts";
import { createLive, type OpenKms } from "./snapshot.ts";
import { openStorage } from "./storage/open.ts";

const DRAIN_MS = 25_000;
const STANDARD_OUTPUT = 1;

async function main(): Promise<void> {
  const log = createLog("Info");
  const where = readOwnEnvironment();
  const stopping = new AbortController();
  for (const name of ["SIGTERM", "SIGINT"] as const) process.once(name, () => stopping.abort(new Error(name)));
  await serve(where, log, stopping.signal);
}

async function serve(where: Whereabouts, log: Log, signal: AbortSignal): Promise<void> {
  const nowMs = Date.now;
  const working = new AbortController();
  const metrics = createMetrics();
  const lines = createLineWriter(STANDARD_OUTPUT, () => metrics.auditLost());
  const audit = createAudit(lines, () => new Date(), metrics.tamper);

  const storage = await openStorage({
    type: "filesystem",
    folder: where.dataDir,
    report: (message, cause) => log.warn(message, { cause }),
  });
  const live = createLive(openWith(metrics), (error) => log.warn("a KMS client did not close", { cause: error }));
  const { document } = await readDocument(where.configPath);
  const bucketNames = parseConfig(document).buckets.map(({ name }) => name);
  const storeId = await openStoreId(storage, bucketNames, signal);
  const keys = createBucketKeys({ storage, storeId, audit, nowMs });
  const buckets = createBuckets({ storage, sealer: createSettingsSealer(keys), audit, nowMs });
  const objects = createObjects({ storage, keys, audit, nowMs, shownByDefault: buckets.shownByDefault });
  const inFlight = createInFlight();
  const kinds = [createRewrapJob(keys), createEmptyJob(storage, objects)];
  const jobs = createJobs({ storage, live, kinds, log, nowMs, inFlight });
  const probes = createProbes(live, nowMs);
  const loading = createLoading({
    path: where.configPath,
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
  await loading.loadFirst(signal);

  const ports = {
    live,
    inFlight,
    log,
    metrics,
    requestLine: (fields: object) =>
      void lines.write(JSON.stringify({ time: new Date().toISOString(), request: fields })),
  };
  const s3 = createListener({ ...ports, protocol: createS3Protocol({ objects, buckets, nowMs }) });
  await s3.listen(where.s3Port, where.listenAddress);
  log.info("serving", { s3: where.s3Port });

  const background = [jobs.run(working.signal), probes.run(working.signal), loading.watch(working.signal)];
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
  log.info("shutting down");
  await s3.drain(DRAIN_MS);
  working.abort();
  await Promise.all(background);
  await live.close();
  await storage.close();
  await lines.flush();
}

function openWith(metrics: Metrics): OpenKms {
  return (entry: ProviderEntry, signal) => {
    const parsed = parseKmsOptions(entry.options);
    if ("problems" in parsed) throw new ConfigError(parsed.problems.map(({ at, problem }) => `${at}: ${problem}`));
    return openKms(
      parsed.options,
      {
        timeoutMs: entry.timeoutMs,
        negativeTtlMs: entry.cache.negativeTtlMs,
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
