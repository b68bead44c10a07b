// Tells people what happened, as Events of a resource. The same thing told again within a while is one Event with a
// count. Events are never waited for, and one that cannot be written fails nobody.

import { createHash, randomBytes } from "node:crypto";
import type { Clock } from "../clock.ts";
import type { Kube } from "./client.ts";
import { isKubeError } from "./failure.ts";
import { type EventObject, type KubeObject, RESOURCES } from "./resources.ts";

export interface EventNotice {
  readonly type: "Normal" | "Warning";
  readonly reason: string;
  readonly message: string;
}

export interface EventRecorder {
  tell(about: KubeObject, notice: EventNotice): void;
  /** Resolves when all that was told has been written, or could not be. */
  flush(): Promise<void>;
}

export interface EventNeeds {
  readonly kube: Kube;
  readonly clock: Clock;
  /** The name of this process's pod. */
  readonly instance: string;
  readonly signal: AbortSignal;
  report(error: unknown): void;
}

const CONTROLLER = "coffer.dev/operator";
/** A repetition after a longer silence is news. */
const SERIES_MS = 6 * 60_000;
const SERIES_MAX = 4096;
/** What waits to be written; more is dropped, oldest first. */
const WAITING_MAX = 1000;
const NOTE_CHARACTERS_MAX = 1024;

interface Series {
  event: EventObject;
  count: number;
  lastMs: number;
}

interface Waiting {
  readonly key: string;
  readonly about: KubeObject;
  readonly notice: EventNotice;
  readonly at: Date;
}

export function createEvents(needs: EventNeeds): EventRecorder {
  const { kube, clock, signal } = needs;
  const series = new Map<string, Series>();
  const waiting: Waiting[] = [];
  let writing: Promise<void> | undefined;

  async function write({ key, about, notice, at }: Waiting): Promise<void> {
    const known = series.get(key);
    const nowMs = clock.monotonicMs();
    if (known !== undefined && nowMs - known.lastMs <= SERIES_MS) {
      known.count += 1;
      known.lastMs = nowMs;
      const repeated = { series: { count: known.count, lastObservedTime: micro(at) } };
      const { namespace = "", name } = known.event.metadata;
      try {
        await kube.patch(RESOURCES.events, { namespace, name }, repeated, signal);
        return;
      } catch (error) {
        // It was cleared away meanwhile: then it is told anew.
        if (!isKubeError(error, "not-found")) throw error;
      }
    }
    const event = eventOf(about, notice, at, needs.instance);
    await kube.create(RESOURCES.events, event, signal);
    remember(key, { event, count: 1, lastMs: nowMs });
  }

  function remember(key: string, one: Series): void {
    series.delete(key);
    series.set(key, one);
    const [oldest] = series.keys();
    if (series.size > SERIES_MAX && oldest !== undefined) series.delete(oldest);
  }

  async function writeAll(): Promise<void> {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      try {
        if (!signal.aborted) await write(next);
      } catch (error) {
        if (!signal.aborted) needs.report(error);
      }
    }
    writing = undefined;
  }

  return {
    tell(about, notice) {
      waiting.push({ key: keyOf(about, notice), about, notice, at: clock.now() });
      if (waiting.length > WAITING_MAX) waiting.shift();
      writing ??= writeAll();
    },
    async flush() {
      await writing;
    },
  };
}

function keyOf(about: KubeObject, { type, reason, message }: EventNotice): string {
  return createHash("sha256")
    .update(JSON.stringify([about.metadata.uid, about.metadata.name, type, reason, message]))
    .digest("base64");
}

function eventOf(about: KubeObject, notice: EventNotice, at: Date, instance: string): EventObject {
  const { namespace = "", name, uid = "" } = about.metadata;
  return {
    apiVersion: RESOURCES.events.apiVersion,
    kind: RESOURCES.events.kind,
    metadata: { namespace, name: `${name}.${randomBytes(8).toString("hex")}` },
    eventTime: micro(at),
    reportingController: CONTROLLER,
    reportingInstance: instance,
    action: "Reconcile",
    reason: notice.reason,
    note: notice.message.slice(0, NOTE_CHARACTERS_MAX),
    type: notice.type,
    regarding: { apiVersion: about.apiVersion, kind: about.kind, namespace, name, uid },
  };
}

/** Microseconds, as the API has them. */
function micro(at: Date): string {
  return at.toISOString().replace("Z", "000Z");
}
