// What goes wrong between the operator and the API server, named for the caller's next move.

/** `not-found` `exists`: as they say. `conflict`: read again. `expired`: list again. `denied`: RBAC, a quota, a namespace
 *  that ends. `unauthorized`: who we are is not known. `invalid`: this request never succeeds. `throttled` `server`
 *  `unreachable`: later. */
export type KubeCode =
  | "not-found"
  | "exists"
  | "conflict"
  | "expired"
  | "denied"
  | "unauthorized"
  | "invalid"
  | "throttled"
  | "server"
  | "unreachable";

export class KubeError extends Error {
  override readonly name = "KubeError";
  readonly code: KubeCode;
  /** Of the answer; undefined: there was none. */
  readonly status: number | undefined;
  /** The API server's own word, as `AlreadyExists`. */
  readonly reason: string | undefined;
  /** How long the API server wants to be left alone. */
  readonly retryAfterMs: number | undefined;
  /** What the API server names behind its reason, as `NamespaceTerminating`. */
  readonly causes: readonly string[];

  constructor(code: KubeCode, message: string, more: KubeErrorMore = {}) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.code = code;
    this.status = more.status;
    this.reason = more.reason;
    this.retryAfterMs = more.retryAfterMs;
    this.causes = more.causes ?? [];
  }
}

export interface KubeErrorMore {
  readonly status?: number;
  readonly reason?: string;
  readonly retryAfterMs?: number;
  readonly causes?: readonly string[];
  readonly cause?: unknown;
}

/** What the API server answers where it refuses. */
interface StatusAnswer {
  readonly code?: number;
  readonly reason?: string;
  readonly message?: string;
  readonly details?: { readonly retryAfterSeconds?: number; readonly causes?: readonly { readonly reason?: string }[] };
}

/** From an answer that is no success. `what` begins the message: "Cannot read Secret team/a". */
export function failureOf(what: string, status: number, body: unknown, retryAfter: string | undefined): KubeError {
  const answer: StatusAnswer = typeof body === "object" && body !== null ? body : {};
  const code = codeOf(status, answer.reason);
  const words = answer.message ?? `status ${status}`;
  const causes = (answer.details?.causes ?? []).flatMap(({ reason }) => (reason === undefined ? [] : [reason]));
  const seconds = Number(retryAfter ?? answer.details?.retryAfterSeconds);
  return new KubeError(code, `${what}: ${words}`, {
    status,
    causes,
    ...(answer.reason === undefined || answer.reason === "" ? {} : { reason: answer.reason }),
    ...(Number.isFinite(seconds) && seconds > 0 ? { retryAfterMs: seconds * 1000 } : {}),
  });
}

function codeOf(status: number, reason: string | undefined): KubeCode {
  switch (status) {
    case 401:
      return "unauthorized";
    case 403:
      return "denied";
    case 404:
      return "not-found";
    case 409:
      return reason === "AlreadyExists" ? "exists" : "conflict";
    case 410:
      return "expired";
    case 429:
      return "throttled";
    default:
      return status >= 500 ? "server" : "invalid";
  }
}

export function isKubeError(error: unknown, ...codes: readonly KubeCode[]): error is KubeError {
  return error instanceof KubeError && codes.includes(error.code);
}
