// Logins of our own: made when a token is first needed, prolonged before it ends, made anew when it has ended or is refused,
// given back at the end. Many who need one at once make one login.

import { createFlight, type Flight } from "../flight.ts";
import type { Secret } from "../secret.ts";
import type { Timers } from "../timers.ts";
import { Refusal } from "./answers.ts";
import type { VaultApi } from "./api.ts";
import { createKeeper, type Held } from "./keeper.ts";
import { type LoginPlace, logIn, lookUp, renew, revoke } from "./login.ts";
import type { Session } from "./session.ts";

/** What is refused so soon after a login is hardly refused because of it. Roles get other policies, so after that a new
 *  login is worth trying, once in so much time. */
const FRESH_MS = 60_000;
const REVOKE_TIMEOUT_MS = 1_000;

export function createOwnLogin(place: LoginPlace, timers: Timers): Session {
  const { api } = place;
  let login: Flight<Held> | undefined;

  const keeper = createKeeper({
    timers,
    canProlong: () => true,
    async prolong(before, signal) {
      const lease = before.renewable ? await renewed(before, signal) : undefined;
      // Near its greatest age a renewal brings little, and soon nothing.
      if (lease === undefined || lease.ttlMs < before.firstTtlMs / 2) await logInOnce(signal);
      else if (keeper.held === before) keeper.hold({ ...lease, token: before.token });
    },
  });

  function logInOnce(signal: AbortSignal): Promise<Held> {
    login ??= createFlight({
      work: async (workSignal) => keeper.hold(await logIn(place, workSignal)),
      copy: (made) => made,
      dispose() {},
      ended() {
        login = undefined;
      },
    });
    return login.join(signal);
  }

  async function renewed({ token }: Held, signal: AbortSignal) {
    try {
      return await renew(token, api, signal);
    } catch (error) {
      if (error instanceof Refusal && (error.status === 400 || error.status === 403)) return undefined;
      throw error;
    }
  }

  return {
    async token(signal) {
      const { held } = keeper;
      if (held !== undefined && timers.nowMs() < held.endsMs) return held.token;
      return (await logInOnce(signal)).token;
    },

    async replace(refused, signal) {
      const sinceMs = keeper.held?.sinceMs ?? Number.NEGATIVE_INFINITY;
      const isFresh = keeper.held?.token === refused && timers.nowMs() - sinceMs < FRESH_MS;
      if (isFresh && (await isGood(refused, api, signal))) return undefined;
      // Others were refused too: whoever was first has logged in.
      const { held } = keeper;
      if (held !== undefined && held.token !== refused) return held.token;
      return (await logInOnce(signal)).token;
    },

    async close() {
      await keeper.close();
      const { held } = keeper;
      if (held === undefined || held.endsMs <= timers.nowMs()) return;
      // A courtesy: a token that nobody revokes ends by itself.
      await revoke(held.token, api, AbortSignal.timeout(REVOKE_TIMEOUT_MS)).catch(() => undefined);
    },
  };
}

async function isGood(token: Secret, api: VaultApi, signal: AbortSignal): Promise<boolean> {
  try {
    await lookUp(token, api, signal);
    return true;
  } catch (error) {
    if (error instanceof Refusal && error.status === 403) return false;
    throw error;
  }
}
