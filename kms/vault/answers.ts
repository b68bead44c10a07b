// What Vault answered, or that it did not, in this room's words: one KmsCode for each, and a message in which nothing of
// the answer stands but its status. A server may be anybody's, and may repeat what it was sent.

import { type KmsAction, type KmsCode, KmsError } from "../kms.ts";

/** Vault said no. What it said beside the status can be asked for, but is never shown. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly status: number;
  readonly retryAfterMs: number | undefined;
  readonly #texts: readonly string[];

  constructor(status: number, texts: readonly string[], retryAfterMs?: number) {
    super(`Vault answered with status ${status}`);
    this.status = status;
    this.retryAfterMs = retryAfterMs;
    this.#texts = texts;
  }

  says(phrase: string): boolean {
    return this.#texts.some((text) => text.includes(phrase));
  }
}

/** There was no answer that counts. `cause` is an error of Node's, never one of the server's. */
export class NoAnswer extends Error {
  override readonly name = "NoAnswer";
  readonly code: "unreachable" | "tls";

  constructor(code: "unreachable" | "tls", message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

/** The login failed. Carries what the server said, which decides whether asking again may help. */
export class LoginFailed extends Error {
  override readonly name = "LoginFailed";
  /** When the next login is tried. */
  readonly retryAfterMs: number | undefined;
  /** Whether Vault counts it, and locks out who fails too often. */
  readonly isCounted: boolean;

  constructor(message: string, more: { cause?: unknown; retryAfterMs?: number; isCounted?: boolean } = {}) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.retryAfterMs = more.retryAfterMs;
    this.isCounted = more.isCounted === true;
  }
}

/** Phrases of OpenBao and HashiCorp Vault, which share them, in answers with status 400. */
const PHRASES: readonly (readonly [phrase: string, code: KmsCode, words: (key: string) => string])[] = [
  ["disallowed by policy (too old)", "disabled", (key) => `That version of KMS key "${key}" is disabled`],
  ["version is too new", "not-found", (key) => `KMS key "${key}" has no such version yet`],
  ["encryption key not found", "not-found", (key) => `KMS key "${key}" does not exist`],
  // Asked to wrap under a key that is not there, Vault would make one; keys.ts asks for a type that cannot be made.
  ["unknown key type", "not-found", (key) => `KMS key "${key}" does not exist`],
  ["soft-deleted", "disabled", (key) => `KMS key "${key}" is deleted softly`],
  ["missing client token", "credentials", () => "Vault saw no token"],
];

/** Failures of one question about the key, or of the login before it. A KmsError and a bug stay as they are. */
export function kmsErrorOf(error: unknown, action: KmsAction, key: string): unknown {
  if (error instanceof NoAnswer) return new KmsError(error.code, action, error.message, { cause: error });
  if (!(error instanceof LoginFailed) && !(error instanceof Refusal)) return error;
  const more = { cause: error, ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }) };
  if (error instanceof LoginFailed) return new KmsError("credentials", action, error.message, more);
  const { code, words } = judge(error, action, key);
  return new KmsError(code, action, `${words} (status ${error.status})`, more);
}

interface Verdict {
  readonly code: KmsCode;
  readonly words: string;
}

function judge(refusal: Refusal, action: KmsAction, key: string): Verdict {
  const { status } = refusal;
  if (status === 400) return judgeBadRequest(refusal, action, key);
  if (status === 403) return { code: "denied", words: `Vault does not permit to ${action} with KMS key "${key}"` };
  if (status === 404) return { code: "not-found", words: `Vault has no KMS key "${key}", or no transit engine there` };
  if (status === 429) return { code: "throttled", words: "Vault asks for fewer requests" };
  if (status === 503 && refusal.says("sealed")) return { code: "sealed", words: "Vault is sealed" };
  if (status >= 300 && status < 400) {
    // Followed, it would take the token to whatever host the answer names.
    return {
      code: "unreachable",
      words: "Vault points elsewhere: the address must lead to the active node, or to one that forwards",
    };
  }
  if (status === 405 || status === 413) {
    return { code: "unsupported", words: `Vault does not know how to ${action} with KMS key "${key}"` };
  }
  return { code: "unreachable", words: "Vault cannot answer" };
}

function judgeBadRequest(refusal: Refusal, action: KmsAction, key: string): Verdict {
  const known = PHRASES.find(([phrase]) => refusal.says(phrase));
  if (known !== undefined) return { code: known[1], words: known[2](key) };
  if (refusal.says("HTTP request to an HTTPS server")) {
    return { code: "tls", words: "Vault expects TLS: the address must begin with https://" };
  }
  // Whatever else is wrong with a ciphertext is not told apart.
  if (action === "unwrap" || action === "rewrap") {
    return { code: "rejected", words: `KMS key "${key}" does not open what it was given` };
  }
  return { code: "unsupported", words: `Vault does not ${action} with KMS key "${key}"` };
}
