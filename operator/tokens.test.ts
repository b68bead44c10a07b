import { readFile } from "node:fs/promises";
import { afterEach, describe, expect, test } from "vitest";
import type { Kube } from "./kube/client.ts";
import { createManualClock } from "./manualclock.ts";
import { Tokens } from "./tokens.ts";

const never = new AbortController().signal;
const ACCOUNT = { namespace: "team", name: "coffer-kms" };
const HOUR_MS = 3_600_000;
const clock = createManualClock();
let asked = 0;
let refused: Error | undefined;

/** Gives tokens "1", "2" and so on, each for an hour. */
const kube = {
  requestToken: async () => {
    asked += 1;
    await new Promise((resolve) => setImmediate(resolve));
    if (refused !== undefined) throw refused;
    return { token: String(asked), expires: new Date(clock.now().getTime() + HOUR_MS) };
  },
} as unknown as Kube;

let tokens = new Tokens(kube, clock);

afterEach(async () => {
  await tokens.close();
  tokens = new Tokens(kube, clock);
  asked = 0;
  refused = undefined;
});

async function token(): Promise<string> {
  return await readFile(await tokens.file(ACCOUNT, "vault", never), "utf8");
}

describe("Tokens", () => {
  test("give many who ask at a time one token, whole", async () => {
    expect(await Promise.all(Array.from({ length: 8 }, token))).toEqual(Array.from({ length: 8 }, () => "1"));
    expect(asked).toBe(1);
  });

  test("last until half of their time is over", async () => {
    expect(await token()).toBe("1");
    await clock.pass(HOUR_MS / 2 - 1);
    expect(await token()).toBe("1");
    await clock.pass(1);
    expect(await token()).toBe("2");
  });

  test("are asked for again where the account was made anew, and after a refusal", async () => {
    expect(await token()).toBe("1");
    tokens.forget(ACCOUNT);
    refused = new Error("no such account");
    await expect(token()).rejects.toThrow("no such account");
    refused = undefined;
    expect(await token()).toBe("3");
  });
});
