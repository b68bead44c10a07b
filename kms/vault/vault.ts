// The Vault provider: Kms over a derived key of the transit engine of HashiCorp Vault or OpenBao (FORMAT.md, bucket-key
// record). The context of a wrap becomes the context from which Vault derives the key that it uses. One attempt a call.

import { createHash } from "node:crypto";
import { encodePairs } from "../../envelope/bytes.ts";
import { EnvelopeError } from "../../envelope/failure.ts";
import { freshBytes } from "../../envelope/random.ts";
import { type Kms, type KmsAction, type KmsContext, KmsError, type Wrapped } from "../kms.ts";
import type { VaultOptions } from "../vault-options.ts";
import { createTransitKey, textOf, type VaultMeans } from "./transit.ts";

const PLAIN_BYTES = 32;
/** What Vault writes: the version of the key, and what was sealed in base64. */
const CIPHERTEXT = /^vault:v([1-9][0-9]{0,8}):([A-Za-z0-9+/]+={0,2})$/;
const CIPHERTEXT_BYTES_MAX = 1024;

/** Asks nothing until it is called. `generate` draws the key here, so that it needs no permission beyond `wrap`'s. */
export function createVaultKms(options: VaultOptions, means: VaultMeans): Kms {
  const key = createTransitKey(options, means);
  let isDerived = false;

  /** Under a key that is not derived, Vault would take any context and bind nothing to it. Asked once. */
  async function refuseUnlessDerived(action: KmsAction, signal: AbortSignal): Promise<void> {
    if (isDerived) return;
    isDerived = await key.wantsContext(action, signal);
    if (!isDerived) {
      const words = `KMS key "${key.id}" is not derived: make one with derived=true, it cannot be changed`;
      throw new KmsError("unsupported", action, words);
    }
  }

  async function wrapNow(
    action: KmsAction,
    plain: Uint8Array,
    context: KmsContext,
    signal: AbortSignal,
  ): Promise<Wrapped> {
    if (plain.length !== PLAIN_BYTES) {
      throw new KmsError("unsupported", action, `Only keys of ${PLAIN_BYTES} bytes are wrapped`);
    }
    const question = { plaintext: Buffer.from(plain).toString("base64"), context: contextOf(action, context) };
    await refuseUnlessDerived(action, signal);
    return wrappedOf(action, key.id, textOf(await key.ask(action, "encrypt", question, signal), "ciphertext", action));
  }

  return {
    async generate(context, signal) {
      signal.throwIfAborted();
      const plain = freshBytes(PLAIN_BYTES);
      return { plain, wrapped: await wrapNow("generate", plain, context, signal) };
    },

    async wrap(plain, context, signal) {
      signal.throwIfAborted();
      return await wrapNow("wrap", plain, context, signal);
    },

    async unwrap(wrapped, context, signal) {
      signal.throwIfAborted();
      const question = { ciphertext: ciphertextOf("unwrap", key.id, wrapped), context: contextOf("unwrap", context) };
      const fields = await key.ask("unwrap", "decrypt", question, signal);
      const plain = Buffer.from(textOf(fields, "plaintext", "unwrap"), "base64");
      if (plain.length === PLAIN_BYTES) return plain;
      plain.fill(0);
      throw rejected("unwrap", key.id);
    },

    async rewrap(wrapped, context, signal) {
      signal.throwIfAborted();
      const question = { ciphertext: ciphertextOf("rewrap", key.id, wrapped), context: contextOf("rewrap", context) };
      const fields = await key.ask("rewrap", "rewrap", question, signal);
      return wrappedOf("rewrap", key.id, textOf(fields, "ciphertext", "rewrap"));
    },

    close: () => key.close(),
  };
}

function wrappedOf(action: KmsAction, keyId: string, ciphertext: string): Wrapped {
  const version = CIPHERTEXT.exec(ciphertext)?.[1];
  if (version === undefined || ciphertext.length > CIPHERTEXT_BYTES_MAX) {
    throw new KmsError("unreachable", action, "What answered is no Vault: what it sealed has another form");
  }
  return { provider: "Vault", kmsKeyId: keyId, version, bytes: Buffer.from(ciphertext, "latin1") };
}

/** What stands in the record, if it can be this key's at all. */
function ciphertextOf(action: KmsAction, keyId: string, { provider, kmsKeyId, version, bytes }: Wrapped): string {
  const text = bytes.length > CIPHERTEXT_BYTES_MAX ? "" : Buffer.from(bytes).toString("latin1");
  const [, named, sealed] = CIPHERTEXT.exec(text) ?? [];
  // Of two spellings of the same bytes only one was ever written.
  const isCanonical = sealed !== undefined && Buffer.from(sealed, "base64").toString("base64") === sealed;
  if (provider === "Vault" && kmsKeyId === keyId && named === version && isCanonical) return text;
  throw rejected(action, keyId);
}

/** FORMAT.md: SHA-256(PAIRS(context)). */
function contextOf(action: KmsAction, context: KmsContext): string {
  try {
    return createHash("sha256")
      .update(encodePairs(Object.entries(context)))
      .digest("base64");
  } catch (error) {
    if (!(error instanceof EnvelopeError)) throw error;
    throw new KmsError("unsupported", action, "The context is not text that can be written as UTF-8", { cause: error });
  }
}

function rejected(action: KmsAction, keyId: string): KmsError {
  return new KmsError("rejected", action, `KMS key "${keyId}" does not open what it was given`);
}
