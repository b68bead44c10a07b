// The operator in a cluster: wiring only. Whoever has the lease makes the cluster match what users wrote; the others wait.

import { randomBytes } from "node:crypto";
import { systemClock } from "./clock.ts";
import { type Config, ConfigError, readOwnEnvironment } from "./config.ts";
import { countedConnection, countedKube } from "./counting.ts";
import { serveHealth } from "./health.ts";
import { createKube } from "./kube/client.ts";
import { openConnection } from "./kube/connection.ts";
import { contend, LEASE_TIMES, type LeaseNews, leaseIdentity } from "./kube/lease.ts";
import { createLog, type Log } from "./log.ts";
import { createMetrics } from "./metrics.ts";
import { createPods } from "./pods.ts";
import { runTerm } from "./term.ts";

const FAILED = 1;
const MISUSED = 2;

process.exitCode = await main();

async function main(): Promise<number> {
  const clock = systemClock;
  try {
    const config = readOwnEnvironment();
    const log = createLog(process.stdout, config.logLevel, clock.now);
    return await run(config, log).catch((error: unknown) => {
      log.error("the operator cannot go on", { error });
      return FAILED;
    });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    createLog(process.stderr, "error", clock.now).error(error.message);
    return MISUSED;
  }
}

/** Resolves with the exit code when all has stopped, and the lease is another's. */
async function run(config: Config, log: Log): Promise<number> {
  const clock = systemClock;
  const stopping = new AbortController();
  for (const name of ["SIGTERM", "SIGINT"] as const) process.once(name, () => stopping.abort(new Error(name)));
  const metrics = createMetrics(() => clock.now().getTime() / 1000);
  const connection = countedConnection(openConnection(config), metrics);
  const kube = countedKube(createKube(connection, clock), metrics);
  let isInTouch = false;
  const health = await serveHealth(config.healthPort, () => isInTouch, metrics);
  log.info("the operator runs", { namespace: config.namespace, healthPort: health.port });
  const report = (news: LeaseNews) => {
    if (news.kind === "failed") log.warn("the lease could not be asked for", { error: news.error });
    else log.info(`lease: ${news.kind}`, news.kind === "following" ? { leader: news.leader } : {});
    isInTouch ||= news.kind !== "failed";
    if (news.kind !== "failed") metrics.leads(news.kind === "leading");
  };
  try {
    await contend(
      {
        kube,
        lease: { namespace: config.namespace, name: config.leaseName },
        identity: leaseIdentity(randomBytes(6).toString("hex")),
        times: LEASE_TIMES,
        clock,
        report,
      },
      async (leadership) => await runTerm({ kube, config, clock, log, metrics, pods: createPods() }, leadership),
      stopping.signal,
    );
    log.info("shut down");
    return 0;
  } finally {
    await health.close();
    connection.close();
  }
}
