// One pass over all that is applied: observe, compile, join, plan, act, write down. Repeated until nothing changes; every
// step can be cut off by a crash and is found again by the next look.

import type { AnyResource } from "../../crds/kinds.ts";
import type { DataPlaneConfig } from "../../dataplane/config/config.ts";
import { sameStatus } from "../conditions.ts";
import { planBucket } from "../encryptedbucket/plan.ts";
import { planStore } from "../encryptedstore/plan.ts";
import type { Notice, Plan } from "../kind.ts";
import { planProvider } from "../kmsprovider/plan.ts";
import { accessPath, removeAccessFile, surroundingsOf, writeAccessFile } from "./accessfiles.ts";
import { type Assembled, assemble } from "./assemble.ts";
import type { PassState } from "./compiling.ts";
import { writeConfigFile } from "./configfile.ts";
import type { Urls } from "./hints.ts";
import type { Providers, SeenProvider } from "./providers.ts";
import { type Records, recordKey, resourcesOf } from "./records.ts";
import { writeStatusFile } from "./statusfiles.ts";
import { chooseStore } from "./stores.ts";

export interface PassNeeds {
  readonly providers: Providers;
  readonly accessDir: string;
  readonly statusDir: string;
  readonly configPath: string;
  readonly urls: Urls;
  tell(resource: AnyResource, notice: Notice): void;
  /** An action that failed: it is tried again. */
  failed(resource: AnyResource, error: unknown): void;
}

export interface PassResult {
  readonly records: Records;
  readonly config: DataPlaneConfig | undefined;
  /** Something was done: look again at once. */
  readonly isChanged: boolean;
  readonly againAfterMs: number | undefined;
}

const RETRY_MS = 1000;

/** Runs one pass at `now`. Rejects only when what it keeps cannot be written. */
export async function runPass(state: PassState, needs: PassNeeds, now: Date, signal: AbortSignal): Promise<PassResult> {
  const outcome = createOutcome(state.records, needs);
  const seen = await passProviders(state, needs, outcome, now, signal);
  await makeDefaultStore(outcome, now);
  const assembled = await assemble({ ...state, records: outcome.records() }, seen, needs, now);
  const { config } = assembled;
  if (config !== undefined && config !== state.config) {
    await writeConfigFile(needs.configPath, config);
    outcome.changed();
  }
  await passStores(assembled, needs, outcome, now);
  await passBuckets(assembled, needs, outcome, now);
  return outcome.result(config);
}

/** What one pass has done so far. */
interface Outcome {
  records(): Records;
  changed(): void;
  keep(object: AnyResource, file: string | undefined): Promise<void>;
  carryOut<Action>(
    object: AnyResource,
    plan: Plan<Action, AnyResource["status"]>,
    act: (action: Action) => Promise<void>,
  ): Promise<void>;
  result(config: DataPlaneConfig | undefined): PassResult;
}

function createOutcome(before: Records, needs: PassNeeds): Outcome {
  const records = new Map(before);
  let isChanged = false;
  let againAfterMs: number | undefined;

  function comeAgain(afterMs: number | undefined): void {
    if (afterMs !== undefined) againAfterMs = Math.min(againAfterMs ?? afterMs, afterMs);
  }

  async function keep(object: AnyResource, file: string | undefined): Promise<void> {
    const key = recordKey(object.kind, object.metadata.name);
    const record = { object, file, isGone: records.get(key)?.isGone ?? false };
    await writeStatusFile(needs.statusDir, record);
    records.set(key, record);
    isChanged = true;
  }

  return {
    records: () => records,
    changed: () => {
      isChanged = true;
    },
    keep,

    /** The status is written before the actions: an intent must stand first. */
    async carryOut(object, plan, act) {
      const record = records.get(recordKey(object.kind, object.metadata.name));
      if (record !== undefined && !sameStatus(record.object.status, plan.status)) {
        await keep({ ...object, status: plan.status } as AnyResource, record.file);
      }
      for (const notice of plan.events) needs.tell(object, notice);
      try {
        for (const action of plan.actions) {
          await act(action);
          isChanged = true;
        }
      } catch (error) {
        needs.failed(object, error);
        comeAgain(RETRY_MS);
        return;
      }
      if (plan.againAfterMs === 0) isChanged = true;
      else comeAgain(plan.againAfterMs);
    },

    result: (config) => ({ records, config, isChanged, againAfterMs }),
  };
}

async function passProviders(
  { records, secrets }: PassState,
  needs: PassNeeds,
  outcome: Outcome,
  now: Date,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, SeenProvider>> {
  const { providers, buckets } = resourcesOf(records);
  const seen = new Map<string, SeenProvider>();
  for (const provider of providers) {
    const { name } = provider.metadata;
    const usedBy = buckets.filter(({ spec }) => spec.encryption.kmsProviderRef.name === name).length;
    const one = await needs.providers.observe(provider, secrets, usedBy, signal);
    await outcome.carryOut(provider, planProvider(one.observed, now), (action) => needs.providers.act(action, signal));
    seen.set(name, one);
  }
  return seen;
}

async function makeDefaultStore(outcome: Outcome, now: Date): Promise<void> {
  const { stores, buckets } = resourcesOf(outcome.records());
  const chosen = chooseStore(stores, buckets, now);
  if (chosen.isNew && chosen.store !== undefined) await outcome.keep(chosen.store, undefined);
}

async function passStores(assembled: Assembled, needs: PassNeeds, outcome: Outcome, now: Date): Promise<void> {
  const around = surroundingsOf(needs.urls, undefined);
  for (const observed of assembled.stores) {
    const { name } = observed.store.metadata;
    await outcome.carryOut(observed.store, planStore(observed, now), async ({ entry, pair }) => {
      await writeAccessFile(accessPath(needs.accessDir, name, entry), pair, around);
    });
  }
}

async function passBuckets(assembled: Assembled, needs: PassNeeds, outcome: Outcome, now: Date): Promise<void> {
  for (const { observed, around } of assembled.buckets) {
    await outcome.carryOut(observed.bucket, planBucket(observed, now), async (action) => {
      const path = accessPath(needs.accessDir, action.bucket, action.entry);
      if (action.kind === "remove") await removeAccessFile(path);
      else await writeAccessFile(path, action.pair, around);
    });
  }
}
