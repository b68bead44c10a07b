// The key rings of Local providers where no cluster is: those that Coffer makes are files under the secrets folder, those
// that a person keeps are read wherever their reference leads.

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
import { isSameKey, type KeyFound } from "../kmsprovider/plan.ts";
import { errorCode } from "./durable.ts";
import { createProber, type SeenKey } from "./probing.ts";
import type { SecretDocument } from "./records.ts";
import { findReferred } from "./references.ts";
import { shownPath } from "./settings.ts";

export interface Rings {
  look(provider: KmsProvider, secrets: readonly SecretDocument[], signal: AbortSignal): Promise<SeenKey>;
  make(provider: string, signal: AbortSignal): Promise<void>;
  rotate(provider: string, ifVersion: string, signal: AbortSignal): Promise<void>;
}

export function createRings(secretsDir: string, now: () => Date): Rings {
  const prober = createProber(now);
  const ringPath = (provider: string) => join(secretsDir, keyRingName(provider), RING_KEY);
  const fileOf = (provider: string) => createRingFile(ringPath(provider));

  async function find(provider: KmsProvider, secrets: readonly SecretDocument[], signal: AbortSignal): Promise<Found> {
    const ref = provider.spec.local?.keySecretRef;
    if (ref === undefined) return await foundInFile(fileOf(provider.metadata.name), signal);
    const referred = await findReferred({ kind: "Secret", ...ref }, secrets, secretsDir);
    if ("reason" in referred) return { key: { kind: "unresolved", ...referred }, ring: undefined };
    return foundInText(Buffer.from(referred.bytes).toString("utf8"));
  }

  return {
    async look(provider, secrets, signal) {
      const { key, ring } = await find(provider, secrets, signal);
      const isUsable = ring !== undefined && key.kind === "found" && isSameKey(provider, key);
      const options: KmsOptions | undefined = isUsable ? { type: "Local", ring } : undefined;
      const tried = options === undefined ? undefined : await prober.probe(provider, options, signal);
      const ref = provider.spec.local?.keySecretRef;
      const ringPlace =
        ref === undefined ? shownPath(ringPath(provider.metadata.name)) : `The key ring in Secret "${ref.name}"`;
      const { probe, failures } = tried ?? { probe: undefined, failures: 0 };
      // By this very pass, which knows of the wish.
      const isReadAnew = true;
      return { key, options, isReadAnew, probe, failures, ringPlace, endpoint: undefined };
    },

    /** Somebody else's ring that stands there meanwhile is as good: the next look finds it. */
    async make(provider, signal) {
      try {
        await fileOf(provider).replace(createRing(now()), "absent", signal);
      } catch (error) {
        if (!(error instanceof RingChanged)) throw error;
      }
    },

    async rotate(provider, ifVersion, signal) {
      const holder = fileOf(provider);
      const kept = await holder.read(signal);
      if (kept === undefined) throw new Error(`The key ring of "${provider}" has gone`);
      await (await openRingAdmin(holder, kept.ring.id, now)).rotate(ifVersion, signal);
    },
  };
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
