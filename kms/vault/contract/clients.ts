// A server, clients of its keys that are closed at the end, and what tests of logins ask of them.

import { randomBytes } from "node:crypto";
import { CONTEXT, PATIENT } from "../../contract/subject.ts";
import type { Kms, Wrapped } from "../../kms.ts";
import type { VaultOptions } from "../../options.ts";
import { systemTimers, type Timers } from "../../timers.ts";
import { createRefusedLogins } from "../refused-logins.ts";
import { createVaultKms } from "../vault.ts";
import { TIMEOUT_MS } from "./keys.ts";
import { type OpenBao, type OpenBaoSettings, startOpenBao } from "./openbao.ts";

export interface World {
  readonly bao: OpenBao;
  /** Closed with the world. */
  open(options: VaultOptions, more?: { timers?: Timers; timeoutMs?: number }): Kms;
  close(): Promise<void>;
}

export async function startWorld(settings: OpenBaoSettings = {}): Promise<World> {
  const bao = await startOpenBao(settings);
  const opened: Kms[] = [];
  return {
    bao,
    open(options, { timers = systemTimers, timeoutMs = TIMEOUT_MS } = {}) {
      const kms = createVaultKms(options, { timeoutMs, timers, refusedLogins: createRefusedLogins(timers) });
      opened.push(kms);
      return kms;
    },
    async close() {
      await Promise.all(opened.map((kms) => kms.close()));
      await bao.stop();
    },
  };
}

export function wrap(kms: Kms, signal: AbortSignal = PATIENT): Promise<Wrapped> {
  return kms.wrap(randomBytes(32), CONTEXT, signal);
}

/** What a call failed with, whatever it is; undefined if it did not fail. */
export async function failureOf(call: Promise<unknown>): Promise<unknown> {
  try {
    await call;
  } catch (error) {
    return error;
  }
  return undefined;
}

/** The accessors of all tokens. */
export async function tokensNow(bao: OpenBao): Promise<ReadonlySet<string>> {
  const { data } = await bao.admin("LIST", "auth/token/accessors");
  return new Set(data["keys"] as string[]);
}

export async function tokensSince(bao: OpenBao, before: ReadonlySet<string>): Promise<readonly string[]> {
  return [...(await tokensNow(bao))].filter((accessor) => !before.has(accessor));
}

/** A clock that can be put forward. */
export function createMovableTimers(): Timers & { forward(ms: number): void } {
  let aheadMs = 0;
  return {
    ...systemTimers,
    nowMs: () => systemTimers.nowMs() + aheadMs,
    forward(ms) {
      aheadMs += ms;
    },
  };
}
