// The ports of this room: Kms wraps keys under one key of one key-management system (KMS), KeyAdmin turns that key's
// versions. An adapter makes one attempt a call; deadlines, retries, rate, breaker and sharing are resilience.ts.

import type { Provider } from "../envelope/wrapped.ts";

/** One key of one KMS; one attempt a call. Every plain key has 32 bytes. The caller owns plain bytes, given and
 *  received, and zeroes them; bytes that it gives must stay as they are until the promise settles.
 *  All calls reject with KmsError, or with `signal.reason` once the signal has aborted. */
export interface Kms {
  /** A new random key, and the same key wrapped under the newest version. */
  generate(context: KmsContext, signal: AbortSignal): Promise<{ plain: Uint8Array; wrapped: Wrapped }>;
  /** Wraps 32 bytes under the newest version. */
  wrap(plain: Uint8Array, context: KmsContext, signal: AbortSignal): Promise<Wrapped>;
  /** "rejected": other key, other context or damaged; never says which. "disabled": a version that may no longer be
   *  used. "not-found": a version that this key does not have. */
  unwrap(wrapped: Wrapped, context: KmsContext, signal: AbortSignal): Promise<Uint8Array>;
  /** The same plain key under the newest version, whatever version it had. Repeatable; fails like `unwrap`. */
  rewrap(wrapped: Wrapped, context: KmsContext, signal: AbortSignal): Promise<Wrapped>;
  /** Lets go of connections. Nothing is called afterwards, but close, which may be called twice. */
  close(): Promise<void>;
}

/** What only the operator's identity may do. A data plane holds one only where no operator runs. */
export interface KeyAdmin {
  /** `version`: the newest, which wraps. `enabled`: it may be used. `versions`: those that still unwrap, ascending.
   *  "not-found": the key does not exist. */
  describe(signal: AbortSignal): Promise<KeyDescription>;
  /** Makes a version newer than `ifVersion` and returns the newest. If the newest is no longer `ifVersion`, it returns
   *  that and rotates nothing, so a crash never rotates twice. "unsupported": this key is not ours to rotate. */
  rotate(ifVersion: string, signal: AbortSignal): Promise<string>;
  /** From now on `version` does not unwrap. Repeatable. "unsupported": it is the newest; "not-found": no such version. */
  disable(version: string, signal: AbortSignal): Promise<void>;
}

interface KeyDescription {
  readonly version: string;
  readonly enabled: boolean;
  readonly versions: readonly string[];
}

/** A wrapped key and what is needed to find the key that opens it. `kmsKeyId` is stable and holds no address. */
export interface Wrapped {
  readonly provider: ProviderType;
  readonly kmsKeyId: string;
  readonly version: string;
  readonly bytes: Uint8Array;
}

/** What a wrapped key is bound to: it is unwrapped with equal pairs only. */
export type KmsContext = Readonly<Record<string, string>>;

/** Every provider type that a stored record can name. Which of them can be opened is KmsOptions' list. */
export type ProviderType = Provider;

/** Named for the caller's next move. A deadline that passed is "unreachable"; "circuit-open": not asked at all, because
 *  it was unreachable a moment ago; "credentials": our login to the KMS failed; "unsupported": it never will. */
export type KmsCode =
  | "not-found"
  | "disabled"
  | "denied"
  | "rejected"
  | "credentials"
  | "throttled"
  | "unreachable"
  | "tls"
  | "sealed"
  | "circuit-open"
  | "unsupported";

export type KmsAction = "open" | "generate" | "wrap" | "unwrap" | "rewrap" | "describe" | "rotate" | "disable";

/** What a KMS could not do, and why. The message is for a person and holds no secret, no address and nothing of a remote
 *  answer but its status code; `cause` is for the log alone. */
export class KmsError extends Error {
  override readonly name = "KmsError";
  readonly code: KmsCode;
  readonly action: KmsAction;
  /** When asking again makes sense, if the KMS or the breaker said so. */
  readonly retryAfterMs: number | undefined;

  constructor(
    code: KmsCode,
    action: KmsAction,
    message: string,
    more: { cause?: unknown; retryAfterMs?: number } = {},
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.code = code;
    this.action = action;
    this.retryAfterMs = more.retryAfterMs;
  }
}
