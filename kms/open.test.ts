import { expect, test } from "vitest";
import { KmsError } from "./kms.ts";
import { openKms } from "./open.ts";
import { parseKmsOptions } from "./options.ts";
import { RESILIENCE_DEFAULTS } from "./resilience.ts";

const signal = new AbortController().signal;
/** Nothing listens there. */
const NOWHERE = {
  type: "Vault",
  address: "http://127.0.0.1:1",
  mount: "transit",
  keyName: "photos",
  auth: { token: "s.token" },
};

test.each([[1], [2], [undefined]])("openKms() asks as often as it may: %s", async (attemptsMax) => {
  const parsed = parseKmsOptions(NOWHERE);
  if ("problems" in parsed) throw new Error("these options are right");
  let attempts = 0;
  const settings = {
    timeoutMs: 5000,
    negativeTtlMs: 0,
    attemptsMax,
    observe: (event: { readonly kind: string }) => {
      if (event.kind === "attempt") attempts += 1;
    },
  };
  const kms = await openKms(parsed.options, settings, signal);
  await expect(kms.wrap(new Uint8Array(32), {}, signal)).rejects.toThrow(KmsError);
  await kms.close();
  expect(attempts).toBe(attemptsMax ?? RESILIENCE_DEFAULTS.attemptsMax);
});
