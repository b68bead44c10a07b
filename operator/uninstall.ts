// The last program of an installation: takes the leader's lease for ten minutes, so that no operator puts back what is
// taken off here, and takes both finalizers off every resource, so that all can be deleted without an operator. Ends
// within 40 seconds, and with success whatever it found: an uninstallation is not to hang on what is broken already.

import { randomBytes } from "node:crypto";
import { FINALIZERS } from "../crds/names.ts";
import { type Clock, createDeadline, sleep, systemClock } from "./clock.ts";
import { type Config, readOwnEnvironment } from "./config.ts";
import { createKube, type Kube } from "./kube/client.ts";
import { openConnection } from "./kube/connection.ts";
import { isKubeError } from "./kube/failure.ts";
import { setFinalizers } from "./kube/finalizers.ts";
import { LEASE_TIMES } from "./kube/lease.ts";
import { type KubeObject, type LeaseObject, type ObjectName, RESOURCES, type ResourceType } from "./kube/resources.ts";
import { createLog, type Log } from "./log.ts";

export interface LettingGo {
  readonly kube: Kube;
  readonly lease: ObjectName;
  /** undefined: all. Those of another installation are not ours to touch. */
  readonly namespaces: readonly string[] | undefined;
  readonly clock: Clock;
  readonly log: Log;
  /** What a leader that lost its lease may still write in. */
  readonly settleMs?: number;
}

const LIMIT_MS = 40_000;
const LEASE_SECONDS = 600;
const TRY_AGAIN_MS = 500;
const PAGE_OBJECTS = 500;
const AT_A_TIME = 8;
const OURS: readonly string[] = Object.values(FINALIZERS);
const KINDS: readonly ResourceType<KubeObject>[] = [
  RESOURCES.encryptedBuckets,
  RESOURCES.encryptedStores,
  RESOURCES.kmsProviders,
];

if (import.meta.main) process.exitCode = await main();

async function main(): Promise<number> {
  const log = createLog(process.stdout, "info", () => systemClock.now());
  const deadline = createDeadline(LIMIT_MS, systemClock, new AbortController().signal);
  try {
    await run(readOwnEnvironment(), log, deadline.signal);
  } catch (error) {
    log.error("not everything was let go of; what still has a finalizer is told by: kubectl get coffer -A", { error });
  } finally {
    deadline.clear();
  }
  return 0;
}

async function run(config: Config, log: Log, signal: AbortSignal): Promise<void> {
  const connection = openConnection(config);
  try {
    const needs = {
      kube: createKube(connection, systemClock),
      lease: { namespace: config.namespace, name: config.leaseName },
      namespaces: config.watchNamespaces,
      clock: systemClock,
      log,
    };
    await letGo(needs, signal);
  } finally {
    connection.close();
  }
}

/** Resolves when nobody leads any more and no resource has a finalizer of ours. Rejects with the signal's reason, or with
 *  what it could not do, having done the rest. */
export async function letGo(needs: LettingGo, signal: AbortSignal): Promise<void> {
  const { clock, log, settleMs = LEASE_TIMES.renewWithinMs } = needs;
  const hadLeader = await takeLease(needs, signal);
  log.info("the lease is taken, so that no operator acts", { seconds: LEASE_SECONDS });
  const takenMs = clock.monotonicMs();
  await freeAll(needs, signal);
  if (!hadLeader) return;
  // It may have put back what it had begun to: until its own clock tells it that the lease has run out.
  await sleep(Math.max(0, settleMs - (clock.monotonicMs() - takenMs)), clock, signal);
  await freeAll(needs, signal);
}

/** Whoever has it. Whether somebody had. */
async function takeLease({ kube, lease, clock }: LettingGo, signal: AbortSignal): Promise<boolean> {
  const identity = `uninstall_${randomBytes(6).toString("hex")}`;
  for (;;) {
    const before = await kube.read(RESOURCES.leases, lease, signal);
    const claimed = claimedLease(lease, identity, before, clock.now());
    try {
      if (before === undefined) await kube.create(RESOURCES.leases, claimed, signal);
      else await kube.replace(RESOURCES.leases, claimed, signal);
      return (before?.spec?.holderIdentity ?? "") !== "";
    } catch (error) {
      // Its leader renewed it in between.
      if (!isKubeError(error, "conflict", "exists")) throw error;
      await sleep(TRY_AGAIN_MS * clock.random(), clock, signal);
    }
  }
}

function claimedLease(lease: ObjectName, identity: string, before: LeaseObject | undefined, now: Date): LeaseObject {
  const moment = now.toISOString().replace("Z", "000Z");
  return {
    apiVersion: RESOURCES.leases.apiVersion,
    kind: RESOURCES.leases.kind,
    metadata: before?.metadata ?? { ...lease },
    spec: {
      holderIdentity: identity,
      leaseDurationSeconds: LEASE_SECONDS,
      acquireTime: moment,
      renewTime: moment,
      leaseTransitions: (before?.spec?.leaseTransitions ?? 0) + 1,
    },
  };
}

async function freeAll(needs: LettingGo, signal: AbortSignal): Promise<void> {
  const failures: unknown[] = [];
  for (const type of KINDS) {
    try {
      await freeKind(needs, type, failures, signal);
    } catch (error) {
      signal.throwIfAborted();
      failures.push(error);
    }
  }
  if (failures.length > 0) throw new Error(`${failures.length} could not be let go of`, { cause: failures[0] });
}

async function freeKind(
  { kube, namespaces, log }: LettingGo,
  type: ResourceType<KubeObject>,
  failures: unknown[],
  signal: AbortSignal,
): Promise<void> {
  const held: KubeObject[] = [];
  for (const namespace of namespaces ?? [undefined]) {
    let after: string | undefined;
    do {
      const page = await kube.page(type, { namespace }, { limit: PAGE_OBJECTS, after }, signal);
      held.push(...page.items.filter(({ metadata }) => metadata.finalizers?.some((one) => OURS.includes(one))));
      after = page.next;
    } while (after !== undefined);
  }
  const left = held.values();
  const work = async () => {
    for (const object of left) {
      try {
        await free(kube, type, object, signal);
      } catch (error) {
        signal.throwIfAborted();
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, work));
  if (held.length > 0) log.info(`finalizers taken off ${type.plural}`, { count: held.length });
}

/** Those of others stay. Repeated while somebody else changes the resource. */
async function free(
  kube: Kube,
  type: ResourceType<KubeObject>,
  object: KubeObject,
  signal: AbortSignal,
): Promise<void> {
  const { namespace = "", name } = object.metadata;
  let now: KubeObject | undefined = object;
  while (now !== undefined) {
    const others = (now.metadata.finalizers ?? []).filter((one) => !OURS.includes(one));
    try {
      await setFinalizers(kube, type, now, others, signal);
      return;
    } catch (error) {
      if (!isKubeError(error, "conflict")) throw error;
    }
    now = await again(kube, type, { namespace, name }, signal);
  }
}

/** As it is now: by a list of one, since no operator may read a bucket by its name. */
async function again(
  kube: Kube,
  type: ResourceType<KubeObject>,
  { namespace, name }: ObjectName,
  signal: AbortSignal,
): Promise<KubeObject | undefined> {
  const scope = { namespace, fieldSelector: `metadata.name=${name}` };
  const { items } = await kube.page(type, scope, { limit: 1, after: undefined }, signal);
  return items[0];
}
