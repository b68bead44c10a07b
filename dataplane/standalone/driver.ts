/**
 * Rotates and re-wraps by request, where nobody rules. A rotation happens at most once per wish: it is wanted from one
 * version on, and where a newer one is there already, nothing is rotated. The sweep that follows is a job as any other.
 * What can fail is tried before a key is rotated: who hears of a failure asks again, and would rotate again.
 */
import type { KeyAdmin } from "../../kms/kms.ts";
import { openRingAdmin, openVaultAdmin } from "../../kms/open.ts";
import { parseKmsOptions } from "../../kms/options.ts";
import type { Audit } from "../audit/audit.ts";
import type { Call } from "../call.ts";
import { ConfigError, type ProviderEntry } from "../config/config.ts";
import { Failure, failureOf } from "../failure.ts";
import type { Storage } from "../storage/storage.ts";
import { ringPlace } from "./ring.ts";
import { changeKeyWishes, type KeyWishes } from "./wishes.ts";

export interface Rotated {
  readonly version: string;
  /** false: a version newer than the one that was named was there already. */
  readonly rotated: boolean;
}

/** `late`: what failed when it was done already. */
interface Done<Result> {
  readonly result: Result;
  readonly late: unknown;
}

export interface KeyDriver {
  /** From `ifVersion` on; undefined: from the newest. Who asks while another's rotation is under way gets that one. */
  rotate(call: Call, provider: ProviderEntry, ifVersion: string | undefined): Promise<Rotated>;
  /** Once more, whatever version the records have. */
  rewrap(call: Call, provider: ProviderEntry): Promise<void>;
}

export interface DriverNeeds {
  readonly secretsDir: string;
  readonly storage: Storage;
  readonly audit: Audit;
  readonly nowMs: () => number;
  /** Makes the configuration anew and publishes it. What kept it from that is told where refused edits are, and tried again. */
  reload(signal: AbortSignal): Promise<void>;
  /** Of the process: what was begun is finished, also when the client has gone. */
  readonly signal: AbortSignal;
}

export function createKeyDriver(needs: DriverNeeds): KeyDriver {
  const underWay = new Map<string, Promise<Done<Rotated>>>();
  let queue: Promise<unknown> = Promise.resolve();

  /** A failure is for who asked, not for the next. */
  function inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = queue.then(work);
    queue = turn.catch(() => undefined);
    return turn;
  }

  function rotate(entry: ProviderEntry, ifVersion: string | undefined): Promise<Done<Rotated>> {
    const shared = ifVersion === undefined ? underWay.get(entry.name) : undefined;
    if (shared !== undefined) return shared;
    const rotation = inTurn(() => rotateNow(needs, entry, ifVersion));
    if (ifVersion !== undefined) return rotation;
    underWay.set(entry.name, rotation);
    const ended = () => void underWay.delete(entry.name);
    rotation.then(ended, ended);
    return rotation;
  }

  return {
    rotate: (call, entry, ifVersion) =>
      audited(needs.audit, call, "RotateKey", entry, `rotate the key of provider "${entry.name}"`, () =>
        rotate(entry, ifVersion),
      ),
    rewrap: (call, entry) =>
      audited(needs.audit, call, "RewrapKeys", entry, `re-wrap with provider "${entry.name}"`, () =>
        inTurn(() => rewrapNow(needs, call, entry)),
      ),
  };
}

async function rotateNow(
  needs: DriverNeeds,
  entry: ProviderEntry,
  ifVersion: string | undefined,
): Promise<Done<Rotated>> {
  const { storage, signal } = needs;
  const admin = await openAdmin(entry, needs);
  try {
    const before = await admin.describe(signal);
    if (ifVersion !== undefined && !isVersion(ifVersion, before)) {
      throw new Failure("InvalidArgument", `The key of provider "${entry.name}" has no such version`);
    }
    await reloadFirst(needs);
    // A storage that takes no write says so here.
    await changeKeyWishes(storage, (same) => same, signal);
    const version = await admin.rotate(ifVersion ?? before.version, signal);
    const late = await follow(needs, ({ generation, versions }) => ({
      generation,
      versions: { ...versions, [entry.name]: version },
    }));
    return { result: { version, rotated: version !== before.version }, late };
  } finally {
    await admin.close();
  }
}

async function rewrapNow(needs: DriverNeeds, call: Call, entry: ProviderEntry): Promise<Done<undefined>> {
  const { storage, signal } = needs;
  if (call.snapshot.config.selfService?.keys[0]?.provider !== entry.name) {
    throw new Failure("ConfigurationConflict", `Nothing is written with provider "${entry.name}"`);
  }
  if (entry.options.type === "Local") await describeRing(needs, entry);
  await reloadFirst(needs);
  await changeKeyWishes(storage, (before) => ({ ...before, generation: before.generation + 1 }), signal);
  return { result: undefined, late: await needs.reload(signal).then(nothing, same) };
}

/** A ring that has gone is told of in the same words whatever is asked of it. */
async function describeRing(needs: DriverNeeds, entry: ProviderEntry): Promise<void> {
  const admin = await openAdmin(entry, needs);
  try {
    await admin.describe(needs.signal);
  } finally {
    await admin.close();
  }
}

/** Nothing has happened yet, and nothing will where this fails. */
async function reloadFirst({ reload, signal }: DriverNeeds): Promise<void> {
  try {
    await reload(signal);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const why = `Nothing is done to keys while the configuration cannot be made: ${error.problems.join("; ")}`;
    throw new Failure("ConfigurationConflict", why, { cause: error });
  }
}

/** What follows a rotation, each as far as it goes: the sweep is wished for, and the new version published. */
async function follow(
  { storage, reload, signal }: DriverNeeds,
  change: (before: KeyWishes) => KeyWishes,
): Promise<unknown> {
  const noting = await changeKeyWishes(storage, change, signal).then(nothing, same);
  const publishing = await reload(signal).then(nothing, same);
  return noting ?? publishing;
}

/** Those that no longer unwrap were versions, too: who asks again after a long time rotates nothing. */
function isVersion(name: string, { version, versions }: Awaited<ReturnType<KeyAdmin["describe"]>>): boolean {
  return versions.includes(name) || (/^[1-9]\d{0,9}$/.test(name) && Number(name) < Number(version));
}

function nothing(): undefined {
  return undefined;
}

function same(error: unknown): unknown {
  return error;
}

/** The lines are written before the answer. */
async function audited<Result extends Rotated | undefined>(
  audit: Audit,
  call: Call,
  operation: string,
  { name, kmsKeyId }: ProviderEntry,
  doing: string,
  work: () => Promise<Done<Result>>,
): Promise<Result> {
  const event = { operation, kind: "key", bucket: "", provider: name, kmsKeyId } as const;
  try {
    const { result, late } = await work();
    const keyVersion = result?.version;
    await audit(call, { ...event, keyVersion });
    if (late !== undefined) {
      const failure = failureOf(late, `publish the key of provider "${name}"`);
      await audit(call, { ...event, operation: "PublishKey", keyVersion, failure });
    }
    return result;
  } catch (error) {
    const failure = failureOf(error, doing);
    await audit(call, { ...event, failure });
    throw failure;
  }
}

async function openAdmin(
  { options, timeoutMs }: ProviderEntry,
  { secretsDir, nowMs }: DriverNeeds,
): Promise<KeyAdmin & { close(): Promise<void> }> {
  const parsed = parseKmsOptions(options);
  if ("problems" in parsed) throw new Error("what was published has options that can be used");
  if (parsed.options.type === "Vault") return openVaultAdmin(parsed.options, { timeoutMs });
  const { holder } = ringPlace(secretsDir);
  const admin = await openRingAdmin(holder, parsed.options.ring.id, () => new Date(nowMs()));
  return { ...admin, close: async () => {} };
}
