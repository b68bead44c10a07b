// Observes and acts for KmsProviders where no cluster is: rings in files, keys tried in this process.

import { join } from "node:path";
import type { KmsProvider } from "../../crds/kmsprovider.ts";
import { keyRingName, RING_KEY } from "../../crds/names.ts";
import { openRingAdmin } from "../../kms/open.ts";
import type { KmsOptions } from "../../kms/options.ts";
import {
  createRing,
  newestKey,
  parseRingText,
  type Ring,
  RingChanged,
  type RingHolder,
  RingInvalid,
} from "../../kms/ring.ts";
import { createRingFile } from "../../kms/ring-file.ts";
import type { Finding } from "../compile/compile.ts";
import {
  isSameKey,
  type KeyFound,
  type ObservedProvider,
  type Probe,
  type ProviderAction,
} from "../kmsprovider/plan.ts";
import { errorCode } from "./durable.ts";
import { createProber } from "./probing.ts";
import type { SecretDocument } from "./records.ts";
import { findReferred } from "./references.ts";
import { shownPath } from "./settings.ts";

export interface Providers {
  observe(
    provider: KmsProvider,
    secrets: readonly SecretDocument[],
    usedByBuckets: number,
    signal: AbortSignal,
  ): Promise<SeenProvider>;
  act(action: ProviderAction, signal: AbortSignal): Promise<void>;
}

export interface SeenProvider {
  readonly observed: ObservedProvider;
  /** What its configuration entry is made of. */
  readonly material: Material;
}

export type Material = { readonly options: KmsOptions; readonly kmsKeyId: string } | Finding;

export function createProviders(secretsDir: string, now: () => Date): Providers {
  const prober = createProber(now);
  const rotateFailures = new Map<string, string>();
  const ringPath = (provider: string) => join(secretsDir, keyRingName(provider), RING_KEY);

  async function findKey(
    provider: KmsProvider,
    secrets: readonly SecretDocument[],
    signal: AbortSignal,
  ): Promise<Found> {
    if (provider.spec.type !== "Local") return { key: { kind: "unsupported" }, ring: undefined };
    const ref = provider.spec.local?.keySecretRef;
    if (ref === undefined) return await foundInFile(createRingFile(ringPath(provider.metadata.name)), signal);
    const referred = await findReferred({ kind: "Secret", ...ref }, secrets, secretsDir);
    if ("reason" in referred) return { key: { kind: "unresolved", ...referred }, ring: undefined };
    return foundInText(Buffer.from(referred.bytes).toString("utf8"));
  }

  return {
    async observe(provider, secrets, usedByBuckets, signal) {
      const { name } = provider.metadata;
      const { key, ring } = await findKey(provider, secrets, signal);
      const isUsable = ring !== undefined && key.kind === "found" && isSameKey(provider, key);
      const options: KmsOptions | undefined = isUsable ? { type: "Local", ring } : undefined;
      const kmsKeyId = key.kind === "found" ? key.id : "";
      const tried = options === undefined ? undefined : await prober.probe(provider, options, signal);
      const ref = provider.spec.local?.keySecretRef;
      const observed: ObservedProvider = {
        provider,
        key,
        probe: tried?.probe,
        failures: tried?.failures ?? 0,
        ringPlace: ref === undefined ? shownPath(ringPath(name)) : `The key ring in Secret "${ref.name}"`,
        endpoint: undefined,
        usedByBuckets,
        rotateFailure: rotateFailures.get(name),
      };
      return { observed, material: materialOf(provider, options, kmsKeyId, tried?.probe) };
    },

    async act(action, signal) {
      const holder = createRingFile(ringPath(action.provider));
      if (action.kind === "makeRing") return await makeRing(holder, now(), signal);
      const kept = await holder.read(signal);
      if (kept === undefined) throw new Error(`The key ring of "${action.provider}" has gone`);
      try {
        const admin = await openRingAdmin(holder, kept.ring.id, now);
        await admin.rotate(action.ifVersion, signal);
        rotateFailures.delete(action.provider);
      } catch (error) {
        rotateFailures.set(action.provider, error instanceof Error ? error.message : "The rotation failed");
        throw error;
      }
    },
  };
}

/** Somebody else's ring that stands there meanwhile is as good: the next look finds it. */
async function makeRing(holder: RingHolder, now: Date, signal: AbortSignal): Promise<void> {
  try {
    await holder.replace(createRing(now), "absent", signal);
  } catch (error) {
    if (!(error instanceof RingChanged)) throw error;
  }
}

interface Found {
  readonly key: KeyFound;
  readonly ring: Ring | undefined;
}

async function foundInFile(holder: RingHolder, signal: AbortSignal): Promise<Found> {
  try {
    const kept = await holder.read(signal);
    return kept === undefined ? { key: { kind: "absent" }, ring: undefined } : foundRing(kept.ring);
  } catch (error) {
    if (error instanceof RingInvalid) return invalid(error);
    const code = errorCode(error);
    const message = `The key ring cannot be read (${code})`;
    return {
      key: { kind: "failed", code: code === "EACCES" || code === "EPERM" ? "denied" : "unreachable", message },
      ring: undefined,
    };
  }
}

function foundInText(text: string): Found {
  try {
    return foundRing(parseRingText(text));
  } catch (error) {
    if (error instanceof RingInvalid) return invalid(error);
    throw error;
  }
}

function foundRing(ring: Ring): Found {
  return { key: { kind: "found", id: ring.id, version: String(newestKey(ring).version) }, ring };
}

function invalid(error: RingInvalid): Found {
  const words = error.problems.map(({ at, problem }) => `${at} ${problem}`.trim());
  return { key: { kind: "invalid", message: words.join("; ") }, ring: undefined };
}

/** Only what was tried and works enters a configuration. */
function materialOf(provider: KmsProvider, options: KmsOptions | undefined, kmsKeyId: string, probe: Probe): Material {
  const { name } = provider.metadata;
  if (options === undefined) {
    return { finding: "KeyUnusable", message: `KmsProvider "${name}" has no key that can be used` };
  }
  if (probe?.outcome !== "same") {
    return { finding: "KeyUnusable", message: `The key of KmsProvider "${name}" could not be used when it was tried` };
  }
  return { options, kmsKeyId };
}
