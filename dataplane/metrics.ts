/** Every metric of the data plane, with its children kept, so that counting on the short way is one addition. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

export interface Metrics {
  /** The text of /metrics and its content type. */
  print(): Promise<string>;
  readonly contentType: string;
  /** One finished request. */
  request(protocol: string, operation: string, status: number, seconds: number): void;
  /** Plaintext bytes moved. */
  bytes(direction: "in" | "out", count: number): void;
  inFlight(change: 1 | -1): void;
  /** One attempt at a KMS. */
  kmsCall(provider: string, action: string, outcome: string, seconds: number): void;
  kmsBreaker(provider: string, state: "closed" | "open" | "half-open"): void;
  configLoaded(revision: number, atSeconds: number): void;
  configRefused(): void;
  /** Something that was authenticated did not hold. */
  tamper(): void;
  auditLost(): void;
  /** Names of one page of a listing: those that were remembered, those whose records were opened; and what is remembered. */
  listed(remembered: number, opened: number, memoryBytes: number): void;
  /** What the daily comparison of records and bodies found. */
  checked(bodiesMissing: number, bodiesWithoutRecord: number): void;
}

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600];
const BREAKER_STATES = { closed: 0, "half-open": 1, open: 2 } as const;

export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  return {
    print: () => registry.metrics(),
    contentType: registry.contentType,
    ...requestMetrics(registers),
    ...kmsMetrics(registers),
    ...configMetrics(registers),
    ...auditMetrics(registers),
    ...listMetrics(registers),
    ...checkMetrics(registers),
  };
}

function requestMetrics(registers: Registry[]): Pick<Metrics, "request" | "bytes" | "inFlight"> {
  const requests = new Counter({
    name: "coffer_requests_total",
    help: "Finished requests by protocol, operation and HTTP status.",
    labelNames: ["protocol", "operation", "status"],
    registers,
  });
  const seconds = new Histogram({
    name: "coffer_request_seconds",
    help: "Time from the head of a request to the end of its answer.",
    labelNames: ["protocol", "operation"],
    buckets: SECONDS,
    registers,
  });
  const moved = new Counter({
    name: "coffer_bytes_total",
    help: "Plaintext bytes of object bodies, in and out.",
    labelNames: ["direction"],
    registers,
  });
  const inFlight = new Gauge({ name: "coffer_requests_in_flight", help: "Requests being served.", registers });
  const movedIn = moved.labels("in");
  const movedOut = moved.labels("out");
  return {
    request: keepChildren(requests, seconds),
    bytes: (direction, count) => (direction === "in" ? movedIn : movedOut).inc(count),
    inFlight: (change) => inFlight.inc(change),
  };
}

function kmsMetrics(registers: Registry[]): Pick<Metrics, "kmsCall" | "kmsBreaker"> {
  const calls = new Histogram({
    name: "coffer_kms_call_seconds",
    help: "Calls to a KMS by provider, action and outcome.",
    labelNames: ["provider", "action", "outcome"],
    buckets: SECONDS,
    registers,
  });
  const breaker = new Gauge({
    name: "coffer_kms_breaker_state",
    help: "Circuit breaker of a provider: 0 closed, 1 half-open, 2 open.",
    labelNames: ["provider"],
    registers,
  });
  return {
    kmsCall: (provider, action, outcome, took) => calls.labels(provider, action, outcome).observe(took),
    kmsBreaker: (provider, state) => breaker.labels(provider).set(BREAKER_STATES[state]),
  };
}

function configMetrics(registers: Registry[]): Pick<Metrics, "configLoaded" | "configRefused"> {
  const revision = new Gauge({
    name: "coffer_config_revision",
    help: "Revision of the loaded configuration.",
    registers,
  });
  const loadedAt = new Gauge({
    name: "coffer_config_loaded_timestamp_seconds",
    help: "When the configuration was loaded, seconds since 1970.",
    registers,
  });
  const refused = new Counter({
    name: "coffer_config_refused_total",
    help: "Configuration documents that were refused; the last good one stays.",
    registers,
  });
  return {
    configLoaded(loadedRevision, atSeconds) {
      revision.set(loadedRevision);
      loadedAt.set(atSeconds);
    },
    configRefused: () => refused.inc(),
  };
}

function auditMetrics(registers: Registry[]): Pick<Metrics, "tamper" | "auditLost"> {
  const tampered = new Counter({
    name: "coffer_tamper_total",
    help: "Reads of something stored that did not authenticate.",
    registers,
  });
  const lost = new Counter({
    name: "coffer_audit_write_failures_total",
    help: "Failed writes of audit lines; they are kept and tried again.",
    registers,
  });
  return { tamper: () => tampered.inc(), auditLost: () => lost.inc() };
}

function listMetrics(registers: Registry[]): Pick<Metrics, "listed"> {
  const names = new Counter({
    name: "coffer_listed_names_total",
    help: "Names in listings, by where what is said of them was: remembered, or in records that were opened.",
    labelNames: ["from"],
    registers,
  });
  const held = new Gauge({
    name: "coffer_listed_memory_bytes",
    help: "What is remembered of records for listings; at most 48 MB.",
    registers,
  });
  const fromMemory = names.labels("memory");
  const fromRecords = names.labels("records");
  return {
    listed(remembered, opened, memoryBytes) {
      fromMemory.inc(remembered);
      fromRecords.inc(opened);
      held.set(memoryBytes);
    },
  };
}

function checkMetrics(registers: Registry[]): Pick<Metrics, "checked"> {
  const missing = new Gauge({
    name: "coffer_bodies_missing",
    help: "Records whose body is missing, by the last comparison.",
    registers,
  });
  const orphaned = new Gauge({
    name: "coffer_bodies_without_record",
    help: "Bodies to which no record refers, by the last comparison.",
    registers,
  });
  return {
    checked(bodiesMissing, bodiesWithoutRecord) {
      missing.set(bodiesMissing);
      orphaned.set(bodiesWithoutRecord);
    },
  };
}

/** Looking a child up by its labels costs more than counting; operations and statuses are few. */
function keepChildren(
  requests: Counter<"protocol" | "operation" | "status">,
  seconds: Histogram<"protocol" | "operation">,
): Metrics["request"] {
  const kept = new Map<string, { count: Counter.Internal; time: Histogram.Internal<"protocol" | "operation"> }>();
  return (protocol, operation, status, took) => {
    const key = `${protocol} ${operation} ${status}`;
    let child = kept.get(key);
    if (child === undefined) {
      child = {
        count: requests.labels(protocol, operation, String(status)),
        time: seconds.labels(protocol, operation),
      };
      kept.set(key, child);
    }
    child.count.inc();
    child.time.observe(took);
  };
}
