import { describe, expect, test } from "vitest";
import { LoginFailed } from "./answers.ts";
import { createRefusedLogins } from "./refused-logins.ts";

const PATIENT = new AbortController().signal;
const MINUTE_MS = 60_000;

/** A login that is refused as often as it is tried, until it is told to succeed. */
function createLogin({ random = 1, isCounted = false }: { random?: number; isCounted?: boolean } = {}) {
  let nowMs = 1_000_000;
  const triedMs: number[] = [];
  const logins = createRefusedLogins({ nowMs: () => nowMs, after: () => () => {}, random: () => random });
  const login = {
    works: false,
    triedMs,
    logins,
    pass(ms: number) {
      nowMs += ms;
    },
    attempt(id = "a", signal: AbortSignal = PATIENT): Promise<unknown> {
      const work = async () => {
        triedMs.push(nowMs);
        await Promise.resolve();
        if (!login.works) throw new LoginFailed("refused", { isCounted });
        return "token";
      };
      return logins.attempt(id, work, signal).catch((error: unknown) => error);
    },
    /** How long it is refused for after each of so many attempts. */
    async pausesMs(attempts: number): Promise<(number | undefined)[]> {
      const pausesMs: (number | undefined)[] = [];
      for (let count = 0; count < attempts; count += 1) {
        const { retryAfterMs } = (await login.attempt()) as LoginFailed;
        pausesMs.push(retryAfterMs);
        nowMs += retryAfterMs ?? 0;
      }
      return pausesMs;
    },
  };
  return login;
}

describe("a login that was refused", () => {
  test("is not tried again until its pause is over, and each who asks hears the same, and how long", async () => {
    const login = createLogin();
    expect(await login.attempt()).toMatchObject({ message: "refused", retryAfterMs: 5_000 });
    login.pass(2_000);
    for (let count = 0; count < 30; count += 1) {
      expect(await login.attempt()).toMatchObject({ name: "LoginFailed", message: "refused", retryAfterMs: 3_000 });
    }
    expect(login.triedMs).toHaveLength(1);
    login.pass(3_000);
    await login.attempt();
    expect(login.triedMs).toHaveLength(2);
  });

  test("is tried again less and less often, up to once a minute", async () => {
    const pausesMs = await createLogin().pausesMs(7);
    expect(pausesMs).toEqual([5_000, 10_000, 20_000, 40_000, 60_000, 60_000, 60_000]);
  });

  test("is tried again after half of that at the soonest", async () => {
    expect(await createLogin({ random: 0 }).pausesMs(5)).toEqual([2_500, 5_000, 10_000, 20_000, 30_000]);
  });

  for (const random of [0, 1]) {
    test(`where Vault counts it is tried twice in a quarter of an hour at most (random ${random})`, async () => {
      const login = createLogin({ random, isCounted: true });
      await login.pausesMs(10);
      expect(login.triedMs).toHaveLength(10);
      for (const sinceMs of login.triedMs) {
        const within = login.triedMs.filter((ms) => ms >= sinceMs && ms - sinceMs <= 15 * MINUTE_MS);
        expect(within.length).toBeLessThanOrEqual(2);
      }
    });
  }

  test("that succeeds is forgotten", async () => {
    const login = createLogin();
    await login.pausesMs(4);
    login.works = true;
    expect(await login.attempt()).toBe("token");
    login.works = false;
    expect(await login.attempt()).toMatchObject({ retryAfterMs: 5_000 });
  });

  test("is not held against other credentials", async () => {
    const login = createLogin();
    await login.attempt("a");
    await login.attempt("b");
    expect(login.triedMs).toHaveLength(2);
  });

  test("is forgotten where a thousand came after it", async () => {
    const login = createLogin();
    for (let count = 0; count <= 1_000; count += 1) await login.attempt(`id-${count}`);
    await login.attempt("id-1000");
    expect(login.triedMs).toHaveLength(1_001);
    await login.attempt("id-0");
    expect(login.triedMs).toHaveLength(1_002);
  });

  test("was tried once where many began at the same time", async () => {
    const login = createLogin();
    const answers = await Promise.all(Array.from({ length: 20 }, () => login.attempt()));
    for (const answer of answers) expect(answer).toMatchObject({ message: "refused" });
    expect(login.triedMs).toHaveLength(1);
  });
});

describe("a login", () => {
  test("that succeeds keeps nobody from one of their own", async () => {
    const login = createLogin();
    login.works = true;
    const answers = await Promise.all([login.attempt(), login.attempt(), login.attempt()]);
    expect(answers).toEqual(["token", "token", "token"]);
    expect(login.triedMs).toHaveLength(3);
  });

  test("that fails otherwise than by its credentials is tried by the next", async () => {
    const { logins } = createLogin();
    const unreachable = new Error("unreachable");
    for (let count = 0; count < 2; count += 1) {
      await expect(logins.attempt("a", () => Promise.reject(unreachable), PATIENT)).rejects.toBe(unreachable);
    }
  });

  test("that waits for another is left at once by who gives up", async () => {
    const { logins } = createLogin();
    const hanging = logins.attempt("a", () => new Promise(() => {}), PATIENT);
    hanging.catch(() => undefined);
    const giving = new AbortController();
    const waiting = logins.attempt("a", async () => "token", giving.signal);
    const reason = new Error("gone");
    giving.abort(reason);
    await expect(waiting).rejects.toBe(reason);
  });
});
