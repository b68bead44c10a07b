/**
 * Rotates and re-wraps by request, where nobody rules. A rotation happens at most once per wish: it is wanted from one
 * version on, and where a newer one is there already, nothing is rotated. The sweep that follows is a job as any other.
 */
import type { KeyAdmin } from "../../kms/kms.ts";
import { openRingAdmin, openVaultAdmin } from "../../kms/open.ts";
import { parseKmsOptions } from "../../kms/options.ts";
import type { Audit } from "../audit/audit.ts";
import type { Call } from "../call.ts";
import type { ProviderEntry } from "../config/config.ts";
import { Failure, failureOf } from "../failure.ts";
import type { Storage } from "../storage/storage.ts";
import { ringPlace } from "./ring.ts";
import { changeKeyWishes, type KeyWishes } from "./wishes.ts";

export interface Rotated {
  readonly version: string;
  /** false: a version newer than the one that was named was there already. */
  readonly rotated: boolean;
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
  /** Reads the configuration anew and publishes it. */
  reload(signal: AbortSignal): Promise<void>;
  /** Of the process: what was begun is finished, also when the client has gone. */
  readonly signal: AbortSignal;
}

export function createKeyDriver(needs: DriverNeeds): KeyDriver {
  const { storage, signal } = needs;
  const underWay = new Map<string, Promise<Rotated>>();
  let queue: Promise<unknown> = Promise.resolve();

  /** A failure is for who asked, not for the next. */
  function inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = queue.then(work);
    queue = turn.catch(() => undefined);
    return turn;
  }

  async function rotateNow(entry: ProviderEntry, ifVersion: string | undefined): Promise<Rotated> {
    const admin = await openAdmin(entry, needs);
    try {
      const before = await admin.describe(signal);
      const version = await admin.rotate(ifVersion ?? before.version, signal);
      const noted = ({ generation, versions }: KeyWishes): KeyWishes => ({
        generation,
        versions: { ...versions, [entry.name]: version },
      });
      await changeKeyWishes(storage, noted, signal);
      await needs.reload(signal);
      return { version, rotated: version !== before.version };
    } finally {
      await admin.close();
    }
  }

  function rotate(entry: ProviderEntry, ifVersion: string | undefined): Promise<Rotated> {
    const same = ifVersion === undefined ? underWay.get(entry.name) : undefined;
    if (same !== undefined) return same;
    const rotation = inTurn(() => rotateNow(entry, ifVersion));
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
        inTurn(async () => {
          if (call.snapshot.config.selfService?.keys[0]?.provider !== entry.name) {
            throw new Failure("ConfigurationConflict", `Nothing is written with provider "${entry.name}"`);
          }
          await changeKeyWishes(storage, (before) => ({ ...before, generation: before.generation + 1 }), signal);
          await needs.reload(signal);
        }),
      ),
  };
}

/** The line is written before the answer. */
async function audited<Result>(
  audit: Audit,
  call: Call,
  operation: string,
  { name, kmsKeyId }: ProviderEntry,
  doing: string,
  work: () => Promise<Result>,
): Promise<Result> {
  const event = { operation, kind: "key", bucket: "", provider: name, kmsKeyId } as const;
  try {
    const result = await work();
    const keyVersion = (result as Partial<Rotated> | undefined)?.version;
    await audit(call, { ...event, keyVersion });
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
