// What gives a valid token at any time: given-token.ts with a token that was given to us, own-login.ts by logins of our own.

import type { Secret } from "../secret.ts";

export interface Session {
  /** A token that is valid as far as is known. */
  token(signal: AbortSignal): Promise<Secret>;
  /** After a 403 for `refused`: another token to try once more with; undefined: the token is good, so the answer was meant.
   *  Rejects with LoginFailed if there is no other. */
  replace(refused: Secret, signal: AbortSignal): Promise<Secret | undefined>;
  close(): Promise<void>;
}
