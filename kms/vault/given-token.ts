// A token that was given to us: it is prolonged for as long as Vault lets it be, and cannot be replaced.

import type { Secret } from "../secret.ts";
import type { Timers } from "../timers.ts";
import { LoginFailed, Refusal } from "./answers.ts";
import type { VaultApi } from "./api.ts";
import { createKeeper } from "./keeper.ts";
import { lookUp, renew } from "./login.ts";
import type { Session } from "./session.ts";

export function createGivenToken(token: Secret, api: VaultApi, timers: Timers): Session {
  /** How long it lives it tells only when it is asked. */
  let isKnown = false;
  const keeper = createKeeper({
    timers,
    canProlong: ({ renewable }) => renewable,
    async prolong(_held, signal) {
      if (isKnown) {
        keeper.hold({ ...(await renew(token, api, signal)), token });
        return;
      }
      const lease = await lookUp(token, api, signal).catch((error: unknown) => {
        // One that may not look itself up is not asked again: it lives as long as it lives.
        if (isForbidden(error)) return undefined;
        throw error;
      });
      isKnown = true;
      if (lease !== undefined) keeper.hold(lease);
    },
  });

  return {
    async token() {
      if (keeper.held === undefined) {
        keeper.prolongNow(keeper.hold({ token, ttlMs: Number.POSITIVE_INFINITY, renewable: false }));
      }
      return token;
    },

    async replace(_refused, signal) {
      try {
        await lookUp(token, api, signal);
      } catch (error) {
        if (!isForbidden(error)) throw error;
        throw new LoginFailed("Vault refuses the token: it is not valid, or may not look itself up (status 403)", {
          cause: error,
        });
      }
      return undefined;
    },

    close: () => keeper.close(),
  };
}

function isForbidden(error: unknown): boolean {
  return error instanceof Refusal && error.status === 403;
}
