// What the operator counts, in the form that Prometheus reads. Names that other operators have too are the same here, so
// that their dashboards and alerts fit: controller_runtime_…, workqueue_…, reflector_…, rest_client_…, leader_election_….

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { QueueCounts } from "./queue.ts";

export interface Metrics {
  /** The text of /metrics and its content type. */
  print(): Promise<string>;
  readonly contentType: string;
  leads(isLeader: boolean): void;
  /** One answer of the API server; `code` is "<error>" where none came. */
  asked(method: string, code: string): void;
  /** A list from its beginning; a watch that was opened; either that failed. By plural. */
  listed(resource: string): void;
  watched(resource: string): void;
  watchFailed(resource: string): void;
  queue(controller: string): QueueCounts;
  passes(controller: string, workers: number): PassMetrics;
  readonly looks: LookMetrics;
}

export interface PassMetrics {
  began(): void;
  ended(result: PassResult, seconds: number): void;
}

/** `requeue`: to be done again at once. `requeue_after`: later, though nothing may happen. */
export type PassResult = "success" | "error" | "requeue" | "requeue_after";

export interface LookMetrics {
  /** `outcome` is "same" for a key that works. */
  looked(provider: ProviderName, type: string, outcome: string, seconds: number): void;
  gone(provider: ProviderName): void;
  allGone(): void;
}

interface ProviderName {
  readonly namespace: string;
  readonly name: string;
}

const PASS_SECONDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const WAIT_SECONDS = [0.0001, 0.001, 0.01, 0.1, 1, 10, 60];

export function createMetrics(nowSeconds: () => number): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  return {
    print: async () => await registry.metrics(),
    contentType: registry.contentType,
    ...apiMetrics(registers),
    queue: queueMetrics(registers),
    passes: passMetrics(registers),
    looks: lookMetrics(registers, nowSeconds),
  };
}

type ApiMetrics = Pick<Metrics, "leads" | "asked" | "listed" | "watched" | "watchFailed">;

function apiMetrics(registers: Registry[]): ApiMetrics {
  const leader = new Gauge({
    name: "leader_election_master_status",
    help: "1 while this process has the lease and does the work, 0 while another does.",
    registers,
  });
  const requests = new Counter({
    name: "rest_client_requests_total",
    help: 'Requests to the API server by method and code; "<error>" where no answer came.',
    labelNames: ["method", "code"],
    registers,
  });
  const lists = new Counter({
    name: "reflector_lists_total",
    help: "Lists from the beginning, by resource: one at the start, and one for every watch that could not go on.",
    labelNames: ["resource"],
    registers,
  });
  const watches = new Counter({
    name: "reflector_watches_total",
    help: "Watches that were opened, by resource. The API server ends each after some minutes.",
    labelNames: ["resource"],
    registers,
  });
  const failures = new Counter({
    name: "coffer_watch_failures_total",
    help: "Lists and watches that failed and were tried again, by resource.",
    labelNames: ["resource"],
    registers,
  });
  return {
    leads: (isLeader) => leader.set(isLeader ? 1 : 0),
    asked: (method, code) => requests.labels(method, code).inc(),
    listed: (resource) => lists.labels(resource).inc(),
    watched: (resource) => watches.labels(resource).inc(),
    watchFailed: (resource) => failures.labels(resource).inc(),
  };
}

function queueMetrics(registers: Registry[]): Metrics["queue"] {
  const labelNames = ["name"] as const;
  const depth = new Gauge({
    name: "workqueue_depth",
    help: "Resources that wait for a pass, by controller.",
    labelNames,
    registers,
  });
  const adds = new Counter({
    name: "workqueue_adds_total",
    help: "Resources that were put into the queue, by controller.",
    labelNames,
    registers,
  });
  const retries = new Counter({
    name: "workqueue_retries_total",
    help: "Resources that come again because a pass failed, by controller.",
    labelNames,
    registers,
  });
  const waited = new Histogram({
    name: "workqueue_queue_duration_seconds",
    help: "How long a resource waited for its pass, by controller.",
    labelNames,
    buckets: WAIT_SECONDS,
    registers,
  });
  return (name) => {
    const children = [depth.labels(name), adds.labels(name), retries.labels(name), waited.labels(name)] as const;
    const [itsDepth, itsAdds, itsRetries, itsWaits] = children;
    itsDepth.set(0);
    return {
      depth: (items) => itsDepth.set(items),
      added: () => itsAdds.inc(),
      retried: () => itsRetries.inc(),
      waited: (seconds) => itsWaits.observe(seconds),
    };
  };
}

function passMetrics(registers: Registry[]): Metrics["passes"] {
  const total = new Counter({
    name: "controller_runtime_reconcile_total",
    help: "Passes by controller and result: success, error, requeue or requeue_after.",
    labelNames: ["controller", "result"],
    registers,
  });
  const errors = new Counter({
    name: "controller_runtime_reconcile_errors_total",
    help: "Passes that failed and are repeated, by controller.",
    labelNames: ["controller"],
    registers,
  });
  const seconds = new Histogram({
    name: "controller_runtime_reconcile_time_seconds",
    help: "How long passes took, by controller.",
    labelNames: ["controller"],
    buckets: PASS_SECONDS,
    registers,
  });
  const active = new Gauge({
    name: "controller_runtime_active_workers",
    help: "Passes under way, by controller.",
    labelNames: ["controller"],
    registers,
  });
  const most = new Gauge({
    name: "controller_runtime_max_concurrent_reconciles",
    help: "Passes that can be under way at a time, by controller.",
    labelNames: ["controller"],
    registers,
  });
  return (controller, workers) => {
    most.labels(controller).set(workers);
    errors.labels(controller).inc(0);
    return {
      began: () => active.labels(controller).inc(),
      ended(result, took) {
        active.labels(controller).dec();
        total.labels(controller, result).inc();
        if (result === "error") errors.labels(controller).inc();
        seconds.labels(controller).observe(took);
      },
    };
  };
}

function lookMetrics(registers: Registry[], nowSeconds: () => number): LookMetrics {
  const took = new Histogram({
    name: "coffer_kms_probe_seconds",
    help: "How long probes of KMS keys took, by type of KMS and outcome; same: what was wrapped was unwrapped again.",
    labelNames: ["type", "outcome"],
    buckets: PASS_SECONDS,
    registers,
  });
  const labelNames = ["namespace", "name"] as const;
  const last = new Gauge({
    name: "coffer_kms_probe_last_timestamp_seconds",
    help: "When the key of a KmsProvider was last probed, in seconds since 1970.",
    labelNames,
    registers,
  });
  const success = new Gauge({
    name: "coffer_kms_probe_last_success",
    help: "1 if the last probe of a KmsProvider's key succeeded, 0 if it failed.",
    labelNames,
    registers,
  });
  return {
    looked({ namespace, name }, type, outcome, seconds) {
      took.labels(type, outcome).observe(seconds);
      last.labels(namespace, name).set(nowSeconds());
      success.labels(namespace, name).set(outcome === "same" ? 1 : 0);
    },
    gone({ namespace, name }) {
      last.remove(namespace, name);
      success.remove(namespace, name);
    },
    allGone() {
      last.reset();
      success.reset();
    },
  };
}
