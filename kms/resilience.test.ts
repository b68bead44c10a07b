import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { codeOf, PATIENT } from "./contract/subject.ts";
import { type Kms, type KmsCode, KmsError, type Wrapped } from "./kms.ts";
import type { KmsEvent } from "./observe.ts";
import { RESILIENCE_DEFAULTS, type ResilienceLimits, withResilience } from "./resilience.ts";
import type { Timers } from "./timers.ts";

const CONTEXT = { "coffer:bucket": "photos" };
const wrappedOf = (byte: number): Wrapped => ({
  provider: "Vault",
  kmsKeyId: "transit/photos",
  version: "1",
  bytes: new Uint8Array(8).fill(byte),
});
const WRAPPED = wrappedOf(1);

/** What the scripted KMS does with one attempt. */
type Step = (signal: AbortSignal) => Promise<unknown>;

const plainOf = (byte: number) => new Uint8Array(32).fill(byte);
const gives =
  (value: unknown): Step =>
  async () =>
    value;
const fails =
  (code: KmsCode, retryAfterMs?: number): Step =>
  () =>
    Promise.reject(
      new KmsError(code, "unwrap", `scripted ${code}`, retryAfterMs === undefined ? {} : { retryAfterMs }),
    );
/** Answers after a while, but rejects when its signal aborts. */
const delayed =
  (delayMs: number, step: Step): Step =>
  (signal) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => void step(signal).then(resolve, reject), delayMs);
      signal.addEventListener("abort", () => {
        clearTimeout(timer);
        reject(signal.reason);
      });
    });
/** Answers after a while, whatever its signal says. */
const deaf =
  (delayMs: number, step: Step): Step =>
  (signal) =>
    new Promise((resolve, reject) => setTimeout(() => void step(signal).then(resolve, reject), delayMs));
const hangs: Step = () => new Promise(() => {});

const timers: Timers = {
  nowMs: () => Date.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
  random: () => 1,
};

const LIMITS: ResilienceLimits = {
  ...RESILIENCE_DEFAULTS,
  attemptTimeoutMs: 1000,
  totalTimeoutMs: 10_000,
  attemptsMax: 3,
  backoffMinMs: 100,
  backoffMaxMs: 150,
  breakerFailuresMax: 100,
  breakerOpenMs: 5000,
  negativeTtlMs: 10_000,
};

/** A Kms that follows its script, one step an attempt; the last step repeats. */
function create(script: readonly Step[], limits: Partial<ResilienceLimits> = {}) {
  const asked: { action: string; atMs: number; args: readonly unknown[] }[] = [];
  const events: KmsEvent[] = [];
  const beganMs = Date.now();
  let closed = 0;
  const ask =
    (action: string) =>
    (...args: unknown[]) => {
      const step = script[Math.min(asked.length, script.length - 1)] as Step;
      asked.push({ action, atMs: Date.now() - beganMs, args });
      return step(args.at(-1) as AbortSignal) as Promise<never>;
    };
  const inner: Kms = {
    generate: ask("generate"),
    wrap: ask("wrap"),
    unwrap: ask("unwrap"),
    rewrap: ask("rewrap"),
    async close() {
      closed += 1;
    },
  };
  const kms = withResilience(inner, { ...LIMITS, ...limits }, timers, (event) => events.push(event));
  return { kms, asked, events, closed: () => closed };
}

/** Whether the signal that an attempt got has aborted. */
function isAborted(attempt: { args: readonly unknown[] } | undefined): boolean {
  const signal = attempt?.args.at(-1);
  if (!(signal instanceof AbortSignal)) throw new Error("There was no such attempt");
  return signal.aborted;
}

/** Lets all timers run until the call has settled. */
async function settle<Result>(call: Promise<Result>): Promise<Result> {
  call.catch(() => undefined);
  await vi.runAllTimersAsync();
  return await call;
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

describe("retries", () => {
  const repeatable: KmsCode[] = ["throttled", "unreachable"];
  const final: KmsCode[] = [
    "not-found",
    "disabled",
    "denied",
    "rejected",
    "credentials",
    "tls",
    "sealed",
    "unsupported",
  ];

  for (const code of repeatable) {
    test(`"${code}" is repeated, with back-off that doubles up to its limit`, async () => {
      const { kms, asked, events } = create([fails(code)], { attemptsMax: 4 });
      expect(await settle(codeOf(kms.unwrap(WRAPPED, CONTEXT, PATIENT)))).toBe(code);
      expect(asked.map(({ atMs }) => atMs)).toEqual([0, 100, 250, 400]);
      expect(events.filter(({ kind }) => kind === "retry")).toHaveLength(3);
    });
  }

  for (const code of final) {
    test(`"${code}" is not repeated`, async () => {
      const { kms, asked } = create([fails(code)]);
      expect(await settle(codeOf(kms.unwrap(WRAPPED, CONTEXT, PATIENT)))).toBe(code);
      expect(asked).toHaveLength(1);
    });
  }

  const calls: Readonly<Record<string, [(kms: Kms) => Promise<unknown>, unknown]>> = {
    generate: [(kms) => kms.generate(CONTEXT, PATIENT), { plain: plainOf(7), wrapped: WRAPPED }],
    wrap: [(kms) => kms.wrap(plainOf(7), CONTEXT, PATIENT), WRAPPED],
    unwrap: [(kms) => kms.unwrap(WRAPPED, CONTEXT, PATIENT), plainOf(7)],
    rewrap: [(kms) => kms.rewrap(WRAPPED, CONTEXT, PATIENT), WRAPPED],
  };
  for (const [action, [call, result]] of Object.entries(calls)) {
    test(`${action}() gives the result of the attempt that succeeds`, async () => {
      const { kms, asked } = create([fails("unreachable"), fails("throttled"), gives(result)]);
      expect(await settle(call(kms))).toEqual(result);
      expect(asked.map((attempt) => attempt.action)).toEqual([action, action, action]);
    });
  }

  test("a Retry-After that is longer than the back-off is waited for", async () => {
    const { kms, asked } = create([fails("throttled", 3000), gives(plainOf(7))]);
    expect(await settle(kms.unwrap(WRAPPED, CONTEXT, PATIENT))).toEqual(plainOf(7));
    expect(asked.map(({ atMs }) => atMs)).toEqual([0, 3000]);
  });

  test("a Retry-After beyond the deadline is not waited for, and reaches the caller", async () => {
    const { kms, asked } = create([fails("throttled", 60_000)]);
    const beganMs = Date.now();
    const error = await settle(kms.unwrap(WRAPPED, CONTEXT, PATIENT).catch((thrown: unknown) => thrown));
    expect(error).toMatchObject({ code: "throttled", retryAfterMs: 60_000 });
    expect([asked.length, Date.now() - beganMs]).toEqual([1, 0]);
  });

  test("an error that is a bug is not repeated and not disguised", async () => {
    const bug = new TypeError("undefined is not a function");
    const { kms, asked, events } = create([() => Promise.reject(bug)]);
    await expect(settle(kms.unwrap(WRAPPED, CONTEXT, PATIENT))).rejects.toBe(bug);
    expect(asked).toHaveLength(1);
    expect(events).toContainEqual(expect.objectContaining({ kind: "attempt", outcome: "failed" }));
  });

  test("an adapter that throws instead of rejecting only fails its call", async () => {
    const { kms } = create([
      () => {
        throw new TypeError("thrown");
      },
    ]);
    await expect(settle(kms.unwrap(WRAPPED, CONTEXT, PATIENT))).rejects.toThrow("thrown");
  });
});

describe("deadlines", () => {
  test("an attempt that hangs is given up, aborted and repeated", async () => {
    const { kms, asked } = create([hangs, gives(plainOf(7))]);
    expect(await settle(kms.unwrap(WRAPPED, CONTEXT, PATIENT))).toEqual(plainOf(7));
    expect(asked.map(({ atMs }) => atMs)).toEqual([0, 1100]);
    expect(isAborted(asked[0])).toBe(true);
  });

  test("all attempts together end at the total deadline", async () => {
    const { kms, asked } = create([hangs], { attemptsMax: 99, totalTimeoutMs: 2500 });
    const beganMs = Date.now();
    expect(await settle(codeOf(kms.unwrap(WRAPPED, CONTEXT, PATIENT)))).toBe("unreachable");
    expect([asked.length, Date.now() - beganMs]).toEqual([3, 2500]);
  });

  test("waiting for a turn counts into the total deadline", async () => {
    const { kms, asked } = create([delayed(900, gives(plainOf(7)))], { concurrentMax: 1, totalTimeoutMs: 2000 });
    const calls = [1, 2, 3].map((byte) => kms.unwrap(wrappedOf(byte), CONTEXT, PATIENT));
    const results = await settle(Promise.allSettled(calls));
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "fulfilled", "rejected"]);
    expect(asked.map(({ atMs }) => atMs)).toEqual([0, 900, 1800]);
  });

  test("a plain key that comes after its attempt was given up is zeroed", async () => {
    const late = plainOf(7);
    const generated = { plain: plainOf(8), wrapped: WRAPPED };
    const one = create([deaf(1500, gives(late))], { attemptsMax: 1 });
    expect(await settle(codeOf(one.kms.unwrap(WRAPPED, CONTEXT, PATIENT)))).toBe("unreachable");
    const other = create([deaf(1500, gives(generated))], { attemptsMax: 1 });
    expect(await settle(codeOf(other.kms.generate(CONTEXT, PATIENT)))).toBe("unreachable");
    expect([late, generated.plain]).toEqual([plainOf(0), plainOf(0)]);
  });

  test("a refusal that comes after its attempt was given up is remembered", async () => {
    const { kms, asked } = create([deaf(1500, fails("disabled"))], { attemptsMax: 1 });
    expect(await settle(codeOf(kms.unwrap(WRAPPED, CONTEXT, PATIENT)))).toBe("unreachable");
    expect(await settle(codeOf(kms.unwrap(WRAPPED, CONTEXT, PATIENT)))).toBe("disabled");
    expect(asked).toHaveLength(1);
  });

  test("one attempt may not have as much time as all", () => {
    expect(() => create([hangs], { attemptTimeoutMs: 1000, totalTimeoutMs: 1000 })).toThrow(/less time/);
  });
});

describe("the breaker", () => {
  const limits = { breakerFailuresMax: 3, attemptsMax: 1 };
  // random() is 1, so it stays open for 120 % of breakerOpenMs.
  const openMs = 6000;

  async function failing(kms: Kms, times: number): Promise<void> {
    for (let count = 0; count < times; count += 1) await kms.unwrap(WRAPPED, CONTEXT, PATIENT).catch(() => undefined);
  }

  for (const code of ["unreachable", "sealed", "tls"] as const) {
    test(`opens after "${code}" so many times in a row, and then nobody is asked`, async () => {
      const { kms, asked } = create([fails(code)], limits);
      await failing(kms, 3);
      const error = await kms.rewrap(WRAPPED, CONTEXT, PATIENT).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: "circuit-open", action: "rewrap", retryAfterMs: openMs, cause: { code } });
      expect(asked).toHaveLength(3);
    });
  }

  for (const code of [
    "not-found",
    "disabled",
    "denied",
    "rejected",
    "throttled",
    "credentials",
    "unsupported",
  ] as const) {
    test(`does not open after "${code}", which is an answer`, async () => {
      const { kms, asked } = create([fails(code)], { ...limits, negativeTtlMs: 0 });
      await failing(kms, 10);
      expect(asked).toHaveLength(10);
    });
  }

  test("opens for attempts that hang", async () => {
    const { kms, events } = create([hangs], { ...limits, attemptsMax: 3 });
    expect(await settle(codeOf(kms.unwrap(WRAPPED, CONTEXT, PATIENT)))).toBe("unreachable");
    expect(await codeOf(kms.unwrap(WRAPPED, CONTEXT, PATIENT))).toBe("circuit-open");
    expect(events).toContainEqual({ kind: "breaker", state: "open" });
  });

  test("a call that saw the failure itself reports that instead of the open breaker", async () => {
    const { kms, asked } = create([fails("unreachable")], { ...limits, attemptsMax: 9 });
    expect(await settle(codeOf(kms.unwrap(WRAPPED, CONTEXT, PATIENT)))).toBe("unreachable");
    expect(asked).toHaveLength(3);
  });

  test("lets one probe through when its time is over, and refuses the rest meanwhile", async () => {
    const down = fails("unreachable");
    const { kms, asked, events } = create([down, down, down, delayed(500, gives(plainOf(7)))], limits);
    await failing(kms, 3);
    await vi.advanceTimersByTimeAsync(openMs - 1);
    expect(await codeOf(kms.unwrap(WRAPPED, CONTEXT, PATIENT))).toBe("circuit-open");
    await vi.advanceTimersByTimeAsync(1);
    const probe = kms.unwrap(WRAPPED, CONTEXT, PATIENT);
    const others = [2, 3, 4].map((byte) => codeOf(kms.unwrap(wrappedOf(byte), CONTEXT, PATIENT)));
    expect(await Promise.all(others)).toEqual(["circuit-open", "circuit-open", "circuit-open"]);
    expect(await settle(probe)).toEqual(plainOf(7));
    expect(await settle(kms.unwrap(WRAPPED, CONTEXT, PATIENT))).toEqual(plainOf(7));
    expect(asked).toHaveLength(5);
    const states = events.flatMap((event) => (event.kind === "breaker" ? [event.state] : []));
    expect(states).toEqual(["open", "half-open", "closed"]);
  });

  test("a probe whose caller leaves does not shut others out", async () => {
    const down = fails("unreachable");
    const { kms, asked } = create([down, down, down, delayed(500, gives(plainOf(6))), gives(plainOf(7))], limits);
    await failing(kms, 3);
    await vi.advanceTimersByTimeAsync(openMs);
    const leaving = new AbortController();
    const probe = kms.unwrap(WRAPPED, CONTEXT, leaving.signal);
    probe.catch(() => undefined);
    await vi.advanceTimersByTimeAsync(100);
    leaving.abort(new Error("gone"));
    await vi.advanceTimersByTimeAsync(0);
    await expect(probe).rejects.toThrow("gone");
    expect(asked).toHaveLength(4);
    expect(await settle(kms.unwrap(wrappedOf(2), CONTEXT, PATIENT))).toEqual(plainOf(7));
  });

  test("turns away those who wait for their turn as soon as it opens", async () => {
    const { kms, asked } = create([delayed(400, fails("unreachable"))], {
      ...limits,
      breakerFailuresMax: 1,
      concurrentMax: 1,
    });
    const calls = [1, 2, 3, 4].map((byte) => codeOf(kms.unwrap(wrappedOf(byte), CONTEXT, PATIENT)));
    expect(await settle(Promise.all(calls))).toEqual(["unreachable", "circuit-open", "circuit-open", "circuit-open"]);
    expect(asked).toHaveLength(1);
  });

  test("turns away those whom the rate holds back without letting them wait", async () => {
    const { kms } = create([delayed(400, fails("unreachable"))], { ...limits, breakerFailuresMax: 1, perSecondMax: 1 });
    const beganMs = Date.now();
    const calls = [1, 2, 3].map((byte) => codeOf(kms.unwrap(wrappedOf(byte), CONTEXT, PATIENT)));
    expect(await settle(Promise.all(calls))).toEqual(["unreachable", "circuit-open", "circuit-open"]);
    expect(Date.now() - beganMs).toBe(400);
  });
});

describe("a pause that the KMS asks for", () => {
  const hurried = { attemptsMax: 1 };
  const throttledFor = (retryAfterMs: number) => ({ code: "throttled", retryAfterMs });

  test("is kept by all callers, each of whom hears what is left of it", async () => {
    const { kms, asked } = create([fails("throttled", 20_000), gives(WRAPPED)], hurried);
    await expect(kms.wrap(plainOf(1), CONTEXT, PATIENT)).rejects.toMatchObject(throttledFor(20_000));
    await vi.advanceTimersByTimeAsync(5_000);
    for (let count = 0; count < 40; count += 1) {
      await expect(kms.wrap(plainOf(1), CONTEXT, PATIENT)).rejects.toMatchObject(throttledFor(15_000));
    }
    await expect(kms.rewrap(WRAPPED, CONTEXT, PATIENT)).rejects.toMatchObject({ action: "rewrap" });
    expect(asked).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(15_000);
    expect(await settle(kms.wrap(plainOf(1), CONTEXT, PATIENT))).toEqual(WRAPPED);
  });

  test("is waited for by callers whose deadline lies behind it", async () => {
    const { kms, asked } = create([fails("throttled", 3_000), gives(plainOf(7))]);
    const calls = [kms.unwrap(wrappedOf(1), CONTEXT, PATIENT)];
    await vi.advanceTimersByTimeAsync(1_000);
    calls.push(kms.unwrap(wrappedOf(2), CONTEXT, PATIENT));
    expect(await settle(Promise.all(calls))).toEqual([plainOf(7), plainOf(7)]);
    expect(asked.map(({ atMs }) => atMs)).toEqual([0, 3_000, 3_000]);
  });

  test("is not kept for longer than half a minute", async () => {
    const { kms } = create([fails("throttled", 3_600_000), gives(WRAPPED)], hurried);
    expect(await codeOf(kms.wrap(plainOf(1), CONTEXT, PATIENT))).toBe("throttled");
    await expect(kms.wrap(plainOf(1), CONTEXT, PATIENT)).rejects.toMatchObject(throttledFor(30_000));
    await vi.advanceTimersByTimeAsync(30_000);
    expect(await settle(kms.wrap(plainOf(1), CONTEXT, PATIENT))).toEqual(WRAPPED);
  });

  test("is not made shorter by an answer that asks for less", async () => {
    const script = [delayed(100, fails("throttled", 20_000)), delayed(200, fails("throttled", 1_000))];
    const { kms } = create(script, hurried);
    await settle(Promise.all([1, 2].map((byte) => codeOf(kms.unwrap(wrappedOf(byte), CONTEXT, PATIENT)))));
    await expect(kms.unwrap(WRAPPED, CONTEXT, PATIENT)).rejects.toMatchObject(throttledFor(19_900));
  });

  test("turns away those who wait for their turn", async () => {
    const { kms, asked } = create([delayed(100, fails("throttled", 20_000))], { ...hurried, concurrentMax: 1 });
    const calls = [1, 2, 3].map((byte) => codeOf(kms.unwrap(wrappedOf(byte), CONTEXT, PATIENT)));
    expect(await settle(Promise.all(calls))).toEqual(["throttled", "throttled", "throttled"]);
    expect(asked).toHaveLength(1);
  });

  test("does not begin where the KMS names no time", async () => {
    const { kms, asked } = create([fails("throttled"), gives(WRAPPED)], hurried);
    expect(await codeOf(kms.wrap(plainOf(1), CONTEXT, PATIENT))).toBe("throttled");
    expect(await settle(kms.wrap(plainOf(1), CONTEXT, PATIENT))).toEqual(WRAPPED);
    expect(asked).toHaveLength(2);
  });
});

describe("one call for many who ask", () => {
  test("the same question at the same time is asked once, and each gets bytes of its own", async () => {
    const { kms, asked, events } = create([delayed(100, gives(plainOf(7)))]);
    const calls = Array.from({ length: 50 }, () => kms.unwrap({ ...WRAPPED }, { ...CONTEXT }, PATIENT));
    const results = await settle(Promise.all(calls));
    expect(asked).toHaveLength(1);
    expect(new Set(results.map(({ buffer }) => buffer)).size).toBe(50);
    (results[0] as Uint8Array).fill(0);
    for (const result of results.slice(1)) expect(result).toEqual(plainOf(7));
    expect(events.filter(({ kind }) => kind === "shared")).toHaveLength(49);
  });

  test("a question that differs in anything is asked by itself", async () => {
    const { kms, asked } = create([delayed(100, gives(plainOf(7)))]);
    const questions: [Wrapped, Record<string, string>][] = [
      [WRAPPED, CONTEXT],
      [{ ...WRAPPED, bytes: randomBytes(8) }, CONTEXT],
      [{ ...WRAPPED, version: "2" }, CONTEXT],
      [{ ...WRAPPED, kmsKeyId: "transit/other" }, CONTEXT],
      [{ ...WRAPPED, provider: "AWS" }, CONTEXT],
      [WRAPPED, {}],
      [WRAPPED, { ...CONTEXT, more: "" }],
      [WRAPPED, { "coffer:bucketp": "hotos" }],
    ];
    await settle(Promise.all(questions.map(([wrapped, context]) => kms.unwrap(wrapped, context, PATIENT))));
    expect(asked).toHaveLength(questions.length);
  });

  test("pairs in another order are the same question", async () => {
    const { kms, asked } = create([delayed(100, gives(plainOf(7)))]);
    const calls = [kms.unwrap(WRAPPED, { a: "1", b: "2" }, PATIENT), kms.unwrap(WRAPPED, { b: "2", a: "1" }, PATIENT)];
    await settle(Promise.all(calls));
    expect(asked).toHaveLength(1);
  });

  test("nothing is shared once the answer is there: the next caller asks anew", async () => {
    const { kms, asked } = create([gives(plainOf(7)), gives(plainOf(8))]);
    expect(await settle(kms.unwrap(WRAPPED, CONTEXT, PATIENT))).toEqual(plainOf(7));
    expect(await settle(kms.unwrap(WRAPPED, CONTEXT, PATIENT))).toEqual(plainOf(8));
    expect(asked).toHaveLength(2);
  });

  test("a failure reaches all who asked", async () => {
    const { kms, asked } = create([delayed(100, fails("denied"))]);
    const calls = [1, 2, 3].map(() => codeOf(kms.unwrap(WRAPPED, CONTEXT, PATIENT)));
    expect(await settle(Promise.all(calls))).toEqual(["denied", "denied", "denied"]);
    expect(asked).toHaveLength(1);
  });

  test("a caller that leaves hears at once and does not disturb the others", async () => {
    const { kms, asked } = create([delayed(100, gives(plainOf(7)))]);
    const leaving = new AbortController();
    const left = kms.unwrap(WRAPPED, CONTEXT, leaving.signal);
    const stayed = kms.unwrap(WRAPPED, CONTEXT, PATIENT);
    leaving.abort(new Error("gone"));
    await expect(left).rejects.toThrow("gone");
    expect(await settle(stayed)).toEqual(plainOf(7));
    expect(isAborted(asked[0])).toBe(false);
  });

  test("when the last caller leaves, the attempt is aborted, and the next one begins anew", async () => {
    const { kms, asked } = create([delayed(100, gives(plainOf(6))), gives(plainOf(7))]);
    const leaving = new AbortController();
    const left = [1, 2].map(() => kms.unwrap(WRAPPED, CONTEXT, leaving.signal));
    const hearing = Promise.allSettled(left);
    await vi.advanceTimersByTimeAsync(50);
    leaving.abort(new Error("gone"));
    const next = kms.unwrap(WRAPPED, CONTEXT, PATIENT);
    expect((await hearing).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    expect(isAborted(asked[0])).toBe(true);
    expect(await settle(next)).toEqual(plainOf(7));
    expect(asked).toHaveLength(2);
  });

  test("a call whose caller leaves before it was its turn is not made", async () => {
    const { kms, asked } = create([gives(plainOf(7))]);
    const leaving = new AbortController();
    const left = kms.unwrap(WRAPPED, CONTEXT, leaving.signal);
    leaving.abort(new Error("gone"));
    await expect(left).rejects.toThrow("gone");
    await vi.runAllTimersAsync();
    expect(asked).toHaveLength(0);
  });

  test("a caller that leaves during the back-off ends it", async () => {
    const { kms, asked } = create([fails("unreachable")]);
    const leaving = new AbortController();
    const left = kms.unwrap(WRAPPED, CONTEXT, leaving.signal);
    left.catch(() => undefined);
    await vi.advanceTimersByTimeAsync(50);
    leaving.abort(new Error("gone"));
    await expect(left).rejects.toThrow("gone");
    await vi.runAllTimersAsync();
    expect(asked).toHaveLength(1);
  });

  test("a plain key that nobody waits for any longer is zeroed", async () => {
    const late = plainOf(7);
    const { kms } = create([deaf(100, gives(late))]);
    const leaving = new AbortController();
    const left = kms.unwrap(WRAPPED, CONTEXT, leaving.signal);
    left.catch(() => undefined);
    await vi.advanceTimersByTimeAsync(50);
    leaving.abort(new Error("gone"));
    await expect(left).rejects.toThrow("gone");
    await vi.runAllTimersAsync();
    expect(late).toEqual(plainOf(0));
  });

  test("wrap() keeps its own copy of the plain key while it repeats, and zeroes it", async () => {
    const seen: Uint8Array[] = [];
    const { kms, asked } = create([
      (signal) => {
        seen.push(Uint8Array.from(asked[0]?.args[0] as Uint8Array));
        return fails("unreachable")(signal);
      },
      (signal) => {
        seen.push(Uint8Array.from(asked[1]?.args[0] as Uint8Array));
        return gives(WRAPPED)(signal);
      },
    ]);
    const plain = plainOf(7);
    const call = kms.wrap(plain, CONTEXT, PATIENT);
    plain.fill(9);
    await settle(call);
    expect(seen).toEqual([plainOf(7), plainOf(7)]);
    expect(asked[1]?.args[0]).toEqual(plainOf(0));
    expect(plain).toEqual(plainOf(9));
  });
});

describe("the memory for refusals", () => {
  for (const code of ["not-found", "disabled", "denied", "rejected"] as const) {
    test(`"${code}" is not asked again until its time is over`, async () => {
      const { kms, asked, events } = create([fails(code), gives(plainOf(7))]);
      expect(await codeOf(kms.unwrap(WRAPPED, CONTEXT, PATIENT))).toBe(code);
      await vi.advanceTimersByTimeAsync(9_999);
      expect(await codeOf(kms.unwrap(WRAPPED, CONTEXT, PATIENT))).toBe(code);
      expect(asked).toHaveLength(1);
      expect(events.at(-1)).toEqual({ kind: "remembered", action: "unwrap", code });
      await vi.advanceTimersByTimeAsync(1);
      expect(await settle(kms.unwrap(WRAPPED, CONTEXT, PATIENT))).toEqual(plainOf(7));
    });
  }

  for (const code of ["throttled", "unreachable", "credentials", "tls", "sealed", "unsupported"] as const) {
    test(`"${code}" is not remembered`, async () => {
      const { kms } = create([fails(code), gives(plainOf(7))], { attemptsMax: 1 });
      expect(await codeOf(kms.unwrap(WRAPPED, CONTEXT, PATIENT))).toBe(code);
      expect(await settle(kms.unwrap(WRAPPED, CONTEXT, PATIENT))).toEqual(plainOf(7));
    });
  }

  test("concerns exactly the question that was refused", async () => {
    const { kms, asked } = create([fails("disabled"), gives(plainOf(7))]);
    expect(await codeOf(kms.unwrap(WRAPPED, CONTEXT, PATIENT))).toBe("disabled");
    expect(await settle(kms.unwrap(wrappedOf(2), CONTEXT, PATIENT))).toEqual(plainOf(7));
    expect(await settle(kms.unwrap(WRAPPED, {}, PATIENT))).toEqual(plainOf(7));
    expect(asked).toHaveLength(3);
  });

  test("is bounded: the oldest is forgotten", async () => {
    const { kms, asked } = create([fails("disabled")], { negativeMax: 2 });
    for (const byte of [1, 2, 3, 3, 2]) await codeOf(kms.unwrap(wrappedOf(byte), CONTEXT, PATIENT));
    expect(asked).toHaveLength(3);
    await codeOf(kms.unwrap(wrappedOf(1), CONTEXT, PATIENT));
    expect(asked).toHaveLength(4);
  });

  test("can be switched off", async () => {
    const { kms, asked } = create([fails("disabled")], { negativeTtlMs: 0 });
    for (const _ of [1, 2]) await codeOf(kms.unwrap(WRAPPED, CONTEXT, PATIENT));
    expect(asked).toHaveLength(2);
  });

  test("does not hold for wrap(), generate() and rewrap()", async () => {
    const { kms, asked } = create([fails("denied")]);
    for (const _ of [1, 2]) {
      await codeOf(kms.wrap(plainOf(7), CONTEXT, PATIENT));
      await codeOf(kms.generate(CONTEXT, PATIENT));
      await codeOf(kms.rewrap(WRAPPED, CONTEXT, PATIENT));
    }
    expect(asked).toHaveLength(6);
  });
});

describe("bounds", () => {
  test("no more attempts than allowed run at once, and those that wait go in order", async () => {
    let running = 0;
    let most = 0;
    const counted: Step = async (signal) => {
      running += 1;
      most = Math.max(most, running);
      const result = await delayed(100, gives(plainOf(7)))(signal);
      running -= 1;
      return result;
    };
    const { kms, asked } = create([counted], { concurrentMax: 3 });
    await settle(Promise.all(Array.from({ length: 9 }, (_, byte) => kms.unwrap(wrappedOf(byte), CONTEXT, PATIENT))));
    expect(most).toBe(3);
    expect(asked.map(({ atMs }) => atMs)).toEqual([0, 0, 0, 100, 100, 100, 200, 200, 200]);
    expect(asked.map(({ args }) => (args[0] as Wrapped).bytes[0])).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  });

  test("no more attempts than allowed begin in a second, after one second's worth at once", async () => {
    const { kms, asked } = create([gives(plainOf(7))], { perSecondMax: 10 });
    await settle(Promise.all(Array.from({ length: 15 }, (_, byte) => kms.unwrap(wrappedOf(byte), CONTEXT, PATIENT))));
    expect(asked.map(({ atMs }) => atMs)).toEqual([...Array(10).fill(0), 100, 200, 300, 400, 500]);
  });

  test("one call more than allowed is throttled at once, wherever the others are", async () => {
    const { kms, asked, events } = create([delayed(100, fails("unreachable")), delayed(100, gives(plainOf(7)))], {
      callsMax: 3,
      concurrentMax: 1,
    });
    const under = [1, 2, 3].map((byte) => kms.unwrap(wrappedOf(byte), CONTEXT, PATIENT));
    await vi.advanceTimersByTimeAsync(150); // one is between two attempts, one under way, one waits
    for (const more of [kms.unwrap(wrappedOf(4), CONTEXT, PATIENT), kms.wrap(plainOf(1), CONTEXT, PATIENT)]) {
      await expect(more).rejects.toMatchObject({ code: "throttled", retryAfterMs: 1000 });
    }
    expect(events.filter(({ kind }) => kind === "refused")).toHaveLength(2);
    const joined = kms.unwrap(wrappedOf(3), CONTEXT, PATIENT); // asks nothing more
    expect(await settle(Promise.all([...under, joined]))).toHaveLength(4);
    expect(asked).toHaveLength(4);
    expect(await settle(kms.unwrap(wrappedOf(4), CONTEXT, PATIENT))).toEqual(plainOf(7));
  });

  test("callers who leave the queue give their places to others", async () => {
    const { kms, asked } = create([delayed(100, gives(plainOf(7)))], { concurrentMax: 1, callsMax: 3 });
    const first = kms.unwrap(wrappedOf(1), CONTEXT, PATIENT);
    const leaving = new AbortController();
    const left = [2, 3].map((byte) => kms.unwrap(wrappedOf(byte), CONTEXT, leaving.signal));
    leaving.abort(new Error("gone"));
    for (const call of left) await expect(call).rejects.toThrow("gone");
    const others = [4, 5].map((byte) => kms.unwrap(wrappedOf(byte), CONTEXT, PATIENT));
    await settle(Promise.all([first, ...others]));
    expect(asked.map(({ args }) => (args[0] as Wrapped).bytes[0])).toEqual([1, 4, 5]);
  });

  test("an attempt that is left behind does not keep its place", async () => {
    const { kms } = create([hangs, hangs, gives(plainOf(7))], { concurrentMax: 1, attemptsMax: 1 });
    const calls = [1, 2, 3].map((byte) => kms.unwrap(wrappedOf(byte), CONTEXT, PATIENT));
    const results = await settle(Promise.allSettled(calls));
    expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected", "fulfilled"]);
  });
});

test("a signal that has aborted asks nobody", async () => {
  const { kms, asked } = create([gives(plainOf(7))]);
  const reason = new Error("gone");
  await expect(kms.unwrap(WRAPPED, CONTEXT, AbortSignal.abort(reason))).rejects.toBe(reason);
  await expect(kms.generate(CONTEXT, AbortSignal.abort(reason))).rejects.toBe(reason);
  expect(asked).toHaveLength(0);
});

test("each attempt is told, with its outcome and how long it took", async () => {
  const { kms, events } = create([delayed(200, fails("throttled")), delayed(300, gives(WRAPPED))]);
  await settle(kms.rewrap(WRAPPED, CONTEXT, PATIENT));
  expect(events).toEqual([
    { kind: "attempt", action: "rewrap", outcome: "throttled", durationMs: 200 },
    { kind: "retry", action: "rewrap", code: "throttled", delayMs: 100 },
    { kind: "attempt", action: "rewrap", outcome: "ok", durationMs: 300 },
  ]);
});

test("close() closes the Kms within", async () => {
  const { kms, closed } = create([hangs]);
  await kms.close();
  expect(closed()).toBe(1);
});
