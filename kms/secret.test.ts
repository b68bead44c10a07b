import { format, inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { Secret } from "./secret.ts";

const value = "hunter2-marker";
const ways: Record<string, (secret: Secret) => string> = {
  "String()": (secret) => String(secret),
  "a template": (secret) => `${secret}`,
  "a concatenation": (secret) => "".concat(secret as unknown as string),
  "JSON.stringify": (secret) => JSON.stringify({ nested: [secret] }),
  "util.inspect": (secret) => inspect({ nested: { secret } }, { depth: null, showHidden: true }),
  "util.format %o": (secret) => format("%s %o %j %O", secret, secret, secret, secret),
  "its own properties": (secret) => JSON.stringify([Object.entries(secret), Reflect.ownKeys(secret).map(String)]),
  "a spread copy": (secret) => JSON.stringify({ ...secret }),
  "a structured clone": (secret) => inspect(structuredClone(secret)),
  "an error's cause": (secret) => inspect(new Error("x", { cause: secret })),
};

describe("Secret", () => {
  for (const [way, print] of Object.entries(ways)) {
    test(`${way} does not show the value`, () => {
      expect(print(new Secret(value))).not.toContain(value);
    });
  }

  test("text says that something was left out", () => {
    expect(`${new Secret(value)}`).toBe("[redacted]");
    expect(JSON.stringify({ secret: new Secret(value) })).toBe('{"secret":"[redacted]"}');
    expect(inspect({ secret: new Secret(value) })).toBe("{ secret: [redacted] }");
  });

  test("bytes are not shown either", () => {
    const bytes = Uint8Array.from({ length: 32 }, () => 0xab);
    expect(inspect(new Secret(bytes), { showHidden: true })).not.toMatch(/ab|171/);
  });

  test("reveal() gives the value", () => {
    expect(new Secret(value).reveal()).toBe(value);
  });
});
