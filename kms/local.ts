// The Local provider (FORMAT.md, use 4): wraps keys under a key ring that this process holds. Kms over a ring as a value,
// KeyAdmin over a RingHolder; where rings are kept is left to holders.

import { createSecretKey, type KeyObject } from "node:crypto";
import { encodePairs } from "../envelope/bytes.ts";
import { EnvelopeError } from "../envelope/failure.ts";
import { freshBytes } from "../envelope/random.ts";
import { openSmall, sealSmallInto, smallSealedBytes } from "../envelope/small.ts";
import { type KeyAdmin, type Kms, type KmsAction, type KmsContext, KmsError, type Wrapped } from "./kms.ts";
import {
  newestKey,
  type Ring,
  RingChanged,
  type RingHolder,
  RingInvalid,
  type RingTag,
  withDisabledVersion,
  withNewVersion,
} from "./ring.ts";

const PLAIN_BYTES = 32;
const ID_BYTES = 16;
/** Ring id and version, before the segment. */
const PREFIX_BYTES = ID_BYTES + 4;
const BLOB_BYTES = PREFIX_BYTES + smallSealedBytes(PLAIN_BYTES);

interface Version {
  readonly version: number;
  readonly key: KeyObject;
  readonly enabled: boolean;
}

/** A Kms over the ring as it is now: a ring with new versions needs a new Kms. Asks nobody, so every answer is at once. */
export function createLocalKms(ring: Ring): Kms {
  const versions = versionsOf(ring);
  const newest = versions.get(newestKey(ring).version) as Version;
  const idBytes = Buffer.from(ring.id, "hex");

  function wrapNow(action: KmsAction, plain: Uint8Array, context: KmsContext): Wrapped {
    if (plain.length !== PLAIN_BYTES) {
      throw new KmsError("unsupported", action, `Only keys of ${PLAIN_BYTES} bytes are wrapped`);
    }
    const blob = Buffer.allocUnsafeSlow(BLOB_BYTES);
    idBytes.copy(blob);
    blob.writeUInt32BE(newest.version, ID_BYTES);
    const bound = [blob.subarray(0, PREFIX_BYTES), pairsOf(action, context)];
    sealSmallInto(blob, PREFIX_BYTES, "local-wrap", newest.key, bound, plain);
    return { provider: "Local", kmsKeyId: ring.id, version: String(newest.version), bytes: blob };
  }

  function unwrapNow(action: KmsAction, wrapped: Wrapped, context: KmsContext): Uint8Array {
    const version = versionOfBlob(wrapped, ring.id, idBytes);
    if (version === undefined) throw rejected(action, ring.id);
    const known = versions.get(version);
    if (known === undefined) {
      throw new KmsError("not-found", action, `KMS key "${ring.id}" has no version ${version}`);
    }
    if (!known.enabled) {
      throw new KmsError("disabled", action, `Version ${version} of KMS key "${ring.id}" is disabled`);
    }
    const bound = [wrapped.bytes.subarray(0, PREFIX_BYTES), pairsOf(action, context)];
    try {
      return openSmall("local-wrap", known.key, bound, wrapped.bytes.subarray(PREFIX_BYTES));
    } catch (error) {
      if (error instanceof EnvelopeError) throw rejected(action, ring.id, error);
      throw error;
    }
  }

  return {
    async generate(context, signal) {
      signal.throwIfAborted();
      const plain = freshBytes(PLAIN_BYTES);
      return { plain, wrapped: wrapNow("generate", plain, context) };
    },

    async wrap(plain, context, signal) {
      signal.throwIfAborted();
      return wrapNow("wrap", plain, context);
    },

    async unwrap(wrapped, context, signal) {
      signal.throwIfAborted();
      return unwrapNow("unwrap", wrapped, context);
    },

    async rewrap(wrapped, context, signal) {
      signal.throwIfAborted();
      const plain = unwrapNow("rewrap", wrapped, context);
      try {
        return wrapNow("rewrap", plain, context);
      } finally {
        plain.fill(0);
      }
    },

    async close() {},
  };
}

/** The KeyAdmin of the ring with that id. Another ring, or none, in the holder is "not-found"; what is no ring, "rejected".
 *  The holder's compare-and-set makes sure that two who rotate at once make one version. */
export function createLocalKeyAdmin(holder: RingHolder, ringId: string, now: () => Date): KeyAdmin {
  async function read(action: KmsAction, signal: AbortSignal): Promise<{ ring: Ring; tag: RingTag }> {
    signal.throwIfAborted();
    const kept = await ofHolder(action, holder.read(signal), signal);
    if (kept === undefined) throw new KmsError("not-found", action, `Key ring "${ringId}" does not exist`);
    if (kept.ring.id !== ringId) {
      throw new KmsError("not-found", action, `Key ring "${kept.ring.id}" stands where "${ringId}" should`);
    }
    return kept;
  }

  /** Reads and judges until nobody else has written in between; `change` answers undefined if nothing is to be done. */
  async function change(
    action: KmsAction,
    changed: (ring: Ring) => Ring | undefined,
    signal: AbortSignal,
  ): Promise<Ring> {
    for (;;) {
      const { ring, tag } = await read(action, signal);
      const next = changed(ring);
      if (next === undefined) return ring;
      try {
        await ofHolder(action, holder.replace(next, tag, signal), signal);
        return next;
      } catch (error) {
        if (!(error instanceof RingChanged)) throw error;
      }
    }
  }

  return {
    async describe(signal) {
      const { ring } = await read("describe", signal);
      const usable = ring.keys.filter(({ state }) => state === "enabled");
      return { version: newestVersion(ring), enabled: true, versions: usable.map(({ version }) => String(version)) };
    },

    async rotate(ifVersion, signal) {
      const rotated = (ring: Ring) => (newestVersion(ring) === ifVersion ? withNewVersion(ring, now()) : undefined);
      return newestVersion(await change("rotate", rotated, signal));
    },

    async disable(version, signal) {
      const disabled = (ring: Ring): Ring | undefined => {
        const found = ring.keys.find((key) => String(key.version) === version);
        if (found === undefined) {
          throw new KmsError("not-found", "disable", `KMS key "${ringId}" has no version ${version}`);
        }
        if (found === newestKey(ring)) {
          throw new KmsError(
            "unsupported",
            "disable",
            `Version ${version} of KMS key "${ringId}" is the one that wraps`,
          );
        }
        return found.state === "disabled" ? undefined : withDisabledVersion(ring, found.version);
      };
      await change("disable", disabled, signal);
    },
  };
}

function versionsOf(ring: Ring): ReadonlyMap<number, Version> {
  return new Map(
    ring.keys.map(({ version, key, state }) => {
      return [version, { version, key: createSecretKey(key.reveal()), enabled: state === "enabled" }];
    }),
  );
}

function newestVersion(ring: Ring): string {
  return String(newestKey(ring).version);
}

/** The version that the blob names, if it is a blob of this ring and what stands beside it says the same. */
function versionOfBlob(
  { provider, kmsKeyId, version, bytes }: Wrapped,
  ringId: string,
  id: Uint8Array,
): number | undefined {
  if (provider !== "Local" || kmsKeyId !== ringId || bytes.length !== BLOB_BYTES) return undefined;
  const blob = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const named = blob.readUInt32BE(ID_BYTES);
  return blob.subarray(0, ID_BYTES).equals(id) && String(named) === version ? named : undefined;
}

function rejected(action: KmsAction, ringId: string, cause?: EnvelopeError): KmsError {
  return new KmsError("rejected", action, `KMS key "${ringId}" does not open what it was given`, { cause });
}

function pairsOf(action: KmsAction, context: KmsContext): Uint8Array {
  try {
    return encodePairs(Object.entries(context));
  } catch (error) {
    if (!(error instanceof EnvelopeError)) throw error;
    throw new KmsError("unsupported", action, "The context is not text that can be written as UTF-8", { cause: error });
  }
}

/** What a holder's medium says, in this room's words. A KmsError of its own stays as it is. */
async function ofHolder<Result>(action: KmsAction, answer: Promise<Result>, signal: AbortSignal): Promise<Result> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof KmsError || error instanceof RingChanged) throw error;
    if (signal.aborted && error === signal.reason) throw error;
    if (error instanceof RingInvalid) throw new KmsError("rejected", action, error.message, { cause: error });
    const system = (error as { code?: unknown } | null)?.code;
    if (system === "EACCES" || system === "EPERM" || system === "EROFS") {
      throw new KmsError("denied", action, "The key ring may not be read or written", { cause: error });
    }
    throw new KmsError("unreachable", action, "The key ring cannot be read or written", { cause: error });
  }
}
