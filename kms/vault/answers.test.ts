import { describe, expect, test } from "vitest";
import { type KmsAction, type KmsCode, KmsError } from "../kms.ts";
import { kmsErrorOf, LoginFailed, NoAnswer, Refusal } from "./answers.ts";

const KEY = "transit/photos";
const SECRET_WORDS = "words of the server";

const answers: Readonly<Record<string, [status: number, text: string, action: KmsAction, code: KmsCode]>> = {
  "a damaged ciphertext": [400, "cipher: message authentication failed", "unwrap", "rejected"],
  "a ciphertext of another form": [400, "invalid ciphertext: no prefix", "rewrap", "rejected"],
  "a disabled version": [
    400,
    "ciphertext or signature version is disallowed by policy (too old)",
    "unwrap",
    "disabled",
  ],
  "a version to come": [400, "invalid ciphertext: version is too new", "unwrap", "not-found"],
  "no key to unwrap with": [400, "encryption key not found", "unwrap", "not-found"],
  "no key to wrap with": [400, "unknown key type must-exist", "wrap", "not-found"],
  "no token": [400, "missing client token", "wrap", "credentials"],
  "TLS spoken to, in plain": [400, "Client sent an HTTP request to an HTTPS server.\n", "wrap", "tls"],
  "another bad request to wrap": [400, "failed to base64-decode plaintext", "wrap", "unsupported"],
  "no permission": [403, "permission denied", "unwrap", "denied"],
  "nothing there": [404, "", "describe", "not-found"],
  "no engine there": [404, 'no handler for route "transit/keys/photos"', "describe", "not-found"],
  "an operation that is not known": [405, "unsupported operation", "rotate", "unsupported"],
  "too large a request": [413, "", "wrap", "unsupported"],
  "an index that is not there yet": [412, "required index state not present", "unwrap", "unreachable"],
  "too many requests": [429, "request path rate limit quota exceeded", "unwrap", "throttled"],
  "a redirect": [307, "", "unwrap", "unreachable"],
  "a sealed server": [503, "Vault is sealed", "unwrap", "sealed"],
  "a standby without an active node": [503, "local node not active", "unwrap", "unreachable"],
  "an error of the server": [500, "internal error", "unwrap", "unreachable"],
  "an error of a gateway": [504, "", "unwrap", "unreachable"],
};

describe("an answer with", () => {
  test.each(Object.entries(answers))("%s", (_what, [status, text, action, code]) => {
    const error = kmsErrorOf(new Refusal(status, [text, SECRET_WORDS]), action, KEY);
    expect(error).toMatchObject({ name: "KmsError", code, action, retryAfterMs: undefined });
    expect((error as KmsError).message).toMatch(new RegExp(`^[A-Z].*\\(status ${status}\\)$`));
    expect((error as KmsError).message).not.toContain(SECRET_WORDS);
  });
});

describe("kmsErrorOf()", () => {
  test("keeps when to ask again", () => {
    expect(kmsErrorOf(new Refusal(429, [], 7_000), "wrap", KEY)).toMatchObject({ retryAfterMs: 7_000 });
  });

  test("tells a login that failed as credentials, and when the next is tried", () => {
    const error = kmsErrorOf(new LoginFailed("No", { retryAfterMs: 7_000 }), "wrap", KEY);
    expect(error).toMatchObject({ code: "credentials", message: "No", retryAfterMs: 7_000 });
  });

  test.each(["unreachable", "tls"] as const)("keeps the code %s of a missing answer", (code) => {
    expect(kmsErrorOf(new NoAnswer(code, "No"), "wrap", KEY)).toMatchObject({ code, action: "wrap", message: "No" });
  });

  test("leaves a KmsError and a bug as they are", () => {
    for (const error of [new KmsError("rejected", "unwrap", "No"), new TypeError("x is not a function")]) {
      expect(kmsErrorOf(error, "wrap", KEY)).toBe(error);
    }
  });
});
