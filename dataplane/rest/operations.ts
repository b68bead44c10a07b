/** What is in flight, as JSON or as server-sent events, and the keys that nobody but their resource drives. */
import { authorize } from "../access/access.ts";
import type { Call } from "../call.ts";
import type { ProviderEntry } from "../config/config.ts";
import { Failure } from "../failure.ts";
import type { InFlight, Operation } from "../http/inflight.ts";
import { sendWhole } from "../http/stream.ts";
import type { Exchange } from "../http/table.ts";
import type { KeysJson, OperationJson, OperationsJson } from "./api.ts";
import type { Resource, Target } from "./target.ts";

export interface OperationsNeeds {
  readonly inFlight: InFlight;
  readonly nowMs: () => number;
  /** Only in a data plane that runs alone. */
  readonly keyDriver?: KeyDriver | undefined;
  /** Aborted when a shutdown begins: streams of events end, so that the drain need not wait for them. */
  readonly shutdown: AbortSignal;
  readonly eventEveryMs: number;
}

export async function listOperations(needs: OperationsNeeds, call: Call, exchange: Exchange<Target>): Promise<void> {
  const look = (): OperationsJson => ({
    operations: needs.inFlight
      .list(call.principal, needs.nowMs())
      .filter((operation) => operation.id !== call.id)
      .map(operationJson),
  });
  if (wantsEvents(exchange)) return sendEvents(needs, call, exchange, look);
  sendWhole(exchange.answer, 200, "application/json", JSON.stringify(look()));
}

export async function getOperation(
  needs: OperationsNeeds,
  call: Call,
  id: string,
  exchange: Exchange<Target>,
): Promise<void> {
  const look = (): OperationJson | undefined => {
    const operation = needs.inFlight.find(id, call.principal, needs.nowMs());
    return operation === undefined ? undefined : operationJson(operation);
  };
  const operation = look();
  if (operation === undefined) throw new Failure("NoSuchOperation", "The operation does not exist, or has ended");
  if (wantsEvents(exchange)) return sendEvents(needs, call, exchange, look);
  sendWhole(exchange.answer, 200, "application/json", JSON.stringify(operation));
}

/** Drives keys where nobody rules. Audits; throws Failure. */
export interface KeyDriver {
  /** To a version newer than `ifVersion`, or than the newest. */
  rotate(
    call: Call,
    provider: ProviderEntry,
    ifVersion: string | undefined,
  ): Promise<{ readonly version: string; readonly rotated: boolean }>;
  rewrap(call: Call, provider: ProviderEntry): Promise<void>;
}

/** Rotation and rewrap are wanted by a resource, and never started by a request where one rules. */
export async function driveKeys(
  { keyDriver, nowMs }: OperationsNeeds,
  call: Call,
  { provider, verb }: Extract<Resource, { readonly kind: "keys" }>,
  { answer, target }: Exchange<Target>,
): Promise<void> {
  const { config, providers } = call.snapshot;
  const entry = providers.get(provider);
  const name = JSON.stringify(provider);
  if (config.ruledBy === "nobody") {
    const verdict = authorize(call.principal, "AdministerKeys", { bucket: "", selfServiceBucket: false }, nowMs());
    if (verdict !== "allowed") throw new Failure("AccessDenied", `Cannot ${verb} keys: ${verdict.deniedBy}`);
  }
  if (entry === undefined) throw new Failure("NotFound", `There is no provider ${name}`);
  if (config.ruledBy !== "nobody") {
    const field = verb === "rotate" ? "spec.keyRotation" : "spec.rewrap of the buckets that use it";
    throw new Failure("ConfigurationConflict", `The key of ${name} is driven by ${entry.resource}: set ${field}`);
  }
  refuseStrangeQuery(target.query, verb);
  if (keyDriver === undefined) {
    throw new Failure(
      "NotImplemented",
      `Cannot ${verb} the key of provider ${name}: whoever writes the configuration can`,
    );
  }
  const done =
    verb === "rotate"
      ? await keyDriver.rotate(call, entry, target.query.get(IF_VERSION))
      : await keyDriver.rewrap(call, entry);
  const json: KeysJson = { provider, kmsKeyId: entry.kmsKeyId, ...done };
  sendWhole(answer, 202, "application/json", JSON.stringify(json));
}

const IF_VERSION = "ifVersion";

/** A misspelt name would rotate a key that was to be left alone. */
function refuseStrangeQuery(query: Target["query"], verb: "rotate" | "rewrap"): void {
  const strange = [...query.keys()].find((name) => verb !== "rotate" || name !== IF_VERSION);
  if (strange === undefined) return;
  const known = verb === "rotate" ? `${IF_VERSION} alone` : "nothing";
  throw new Failure("InvalidArgument", `Cannot ${verb} keys: the query may say ${known}`);
}

function wantsEvents({ head }: Exchange<Target>): boolean {
  return head.headers.accept?.includes("text/event-stream") === true;
}

/** A client that wants more asks again, with what is a credential then and under the configuration that holds then. */
const STREAM_MS_MAX = 10 * 60_000;

/** One event at once and then one per interval, until there is nothing to tell, the client goes or the server does. */
async function sendEvents(
  needs: OperationsNeeds,
  call: Call,
  { head, answer }: Exchange<Target>,
  look: () => object | undefined,
): Promise<void> {
  answer.statusCode = 200;
  answer.setHeader("Content-Type", "text/event-stream");
  answer.setHeader("Cache-Control", "no-store");
  if (head.method === "HEAD") {
    answer.end();
    return;
  }
  for (let seen = look(); seen !== undefined && !needs.shutdown.aborted; seen = look()) {
    // A client that does not read gets the newest later, never a queue of old ones.
    if (!answer.writableNeedDrain) answer.write(`event: progress\ndata: ${JSON.stringify(seen)}\n\n`);
    await pause(needs.eventEveryMs, call.signal);
    if (needs.nowMs() - call.startedMs >= STREAM_MS_MAX) {
      answer.end();
      return;
    }
  }
  answer.end("event: end\ndata: {}\n\n");
}

function pause(forMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    }, forMs);
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
}

function operationJson(operation: Operation): OperationJson {
  const { id, bucket, name, startedMs, doneBytes, totalBytes, bytesPerSecond } = operation;
  return {
    id,
    operation: operation.operation,
    ...(bucket === undefined ? {} : { bucket }),
    ...(name === undefined ? {} : { name }),
    started: new Date(startedMs).toISOString(),
    doneBytes,
    ...(totalBytes === undefined ? {} : { totalBytes }),
    bytesPerSecond,
  };
}
