// What is told about calls to a KMS while they happen: for metrics and logs, which are somebody else's. No key, no
// context, no message of a remote answer.

import type { BreakerState } from "./breaker.ts";
import type { KmsAction, KmsCode } from "./kms.ts";

export type KmsEvent =
  /** One attempt is over. "aborted": nobody waited any longer; "failed": by a bug, not by the KMS. */
  | {
      readonly kind: "attempt";
      readonly action: KmsAction;
      readonly outcome: "ok" | "aborted" | "failed" | KmsCode;
      readonly durationMs: number;
    }
  | { readonly kind: "retry"; readonly action: KmsAction; readonly code: KmsCode; readonly delayMs: number }
  | { readonly kind: "breaker"; readonly state: BreakerState }
  /** A caller joined a call that was under way. */
  | { readonly kind: "shared"; readonly action: KmsAction }
  /** Answered from what was heard a moment ago. */
  | { readonly kind: "remembered"; readonly action: KmsAction; readonly code: KmsCode }
  /** Too many calls are under way. */
  | { readonly kind: "refused"; readonly action: KmsAction };

/** Must return quickly and never throw. */
export type ObserveKms = (event: KmsEvent) => void;
