import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { KmsProvider, KmsProviderStatus } from "../../crds/kmsprovider.ts";
import { API_VERSION } from "../../crds/names.ts";
import { validate } from "../../crds/validate.ts";
import { INSTALL_TIMEOUT_MS, installOpenBao } from "../../kms/vault/contract/installed.ts";
import { makeVaultKey, type VaultKey } from "../../kms/vault/contract/keys.ts";
import { type OpenBao, startOpenBao } from "../../kms/vault/contract/openbao.ts";
import { conditionOf } from "../conditions.ts";
import { planProvider } from "../kmsprovider/plan.ts";
import { createProviders, type Providers, type SeenProvider } from "./providers.ts";

const PATIENT = new AbortController().signal;

let bao: OpenBao;
let secretsDir: string;

beforeAll(async () => {
  await installOpenBao();
  bao = await startOpenBao();
  secretsDir = await mkdtemp(join(tmpdir(), "coffer-vaultkeys-"));
}, INSTALL_TIMEOUT_MS);
afterAll(async () => {
  await bao.stop();
  await rm(secretsDir, { recursive: true, force: true });
});

function resource(vault: object, more: object = {}, status: Partial<KmsProviderStatus> = {}): KmsProvider {
  const made = validate({
    apiVersion: API_VERSION,
    kind: "KmsProvider",
    metadata: { name: "vault" },
    spec: { type: "Vault", vault: { address: bao.address, allowInsecure: true, ...vault }, ...more },
  });
  if ("problems" in made) throw new Error(JSON.stringify(made.problems));
  const object = made.object as KmsProvider;
  return { ...object, status: { ...object.status, ...status } };
}

/** A provider with a new key, and a token for it at secrets/<key>/token. */
async function make(
  more: object = {},
): Promise<{ key: VaultKey; provider: KmsProvider; putToken(token: string): Promise<void> }> {
  const key = await makeVaultKey(bao);
  const putToken = async (token: string) => {
    await mkdir(join(secretsDir, key.name), { recursive: true });
    await writeFile(join(secretsDir, key.name, "token"), `${token}\n`);
  };
  await putToken(await key.token({ policies: [key.dataPlane, key.operator], ttl: "1h" }));
  const auth = { tokenSecretRef: { name: key.name, key: "token" } };
  return { key, provider: resource({ keyName: key.name, auth }, more), putToken };
}

interface Clock {
  readonly now: () => Date;
  forward(ms: number): void;
}

function createClock(): Clock {
  let aheadMs = 0;
  return {
    now: () => new Date(Date.now() + aheadMs),
    forward(ms) {
      aheadMs += ms;
    },
  };
}

async function seenUntil(look: () => Promise<SeenProvider>, isSeen: (seen: SeenProvider) => boolean) {
  for (let tries = 0; ; tries += 1) {
    const seen = await look();
    if (isSeen(seen)) return seen;
    if (tries > 3000) throw new Error(`It saw ${JSON.stringify(seen.observed.probe)} to the end`);
    await sleep(20);
  }
}

function observe(providers: Providers, provider: KmsProvider): Promise<SeenProvider> {
  return providers.observe(provider, [], 0, PATIENT);
}

/** Pass after pass, as npm start does, with a status that is kept; the resource as it is in the end. */
async function passUntil(
  providers: Providers,
  before: KmsProvider,
  isDone: (status: KmsProviderStatus) => boolean,
): Promise<KmsProvider> {
  let provider = before;
  for (let tries = 0; tries < 1000; tries += 1) {
    const { observed } = await observe(providers, provider);
    const { actions, status } = planProvider(observed, new Date());
    provider = { ...provider, status };
    if (isDone(status)) return provider;
    for (const action of actions) await providers.act(action, PATIENT);
    await sleep(10);
  }
  throw new Error(`It had ${JSON.stringify(provider.status)} to the end`);
}

function isRotated({ observed }: SeenProvider): boolean {
  return !observed.isRotating;
}

function isReady({ conditions }: KmsProviderStatus): boolean {
  return conditionOf(conditions, "Ready")?.status === "True";
}

function raised(provider: KmsProvider, keyGeneration: number): KmsProvider {
  return { ...provider, spec: { ...provider.spec, keyRotation: { ...provider.spec.keyRotation, keyGeneration } } };
}

async function newestOf(key: VaultKey): Promise<unknown> {
  return (await bao.admin("GET", `transit/keys/${key.name}`)).data["latest_version"];
}

describe("a key in Vault, seen by npm start", () => {
  test("is found and tried at the first look, and enters the configuration as its id", async () => {
    const { key, provider } = await make();
    const { observed, material } = await observe(
      createProviders(secretsDir, createClock().now, () => {}),
      provider,
    );
    const id = `transit/${key.name}`;
    expect(observed).toMatchObject({
      key: { kind: "found", id, version: "1" },
      probe: { outcome: "same" },
      failures: 0,
      endpoint: bao.address,
    });
    expect(material).toMatchObject({ kmsKeyId: id, options: { type: "Vault", keyName: key.name } });
  });

  test("is rotated once for one wish, and the new version is seen at once", async () => {
    const { provider } = await make();
    const providers = createProviders(secretsDir, createClock().now, () => {});
    await observe(providers, provider);
    for (let count = 0; count < 2; count += 1) {
      await providers.act({ kind: "rotate", provider: "vault", ifVersion: "1" }, PATIENT);
      const { observed } = await seenUntil(() => observe(providers, provider), isRotated);
      expect(observed.key).toMatchObject({ version: "2" });
    }
  });

  test("is rotated for a raise that comes before the version that somebody else made was seen", async () => {
    const { key, provider } = await make();
    const providers = createProviders(secretsDir, createClock().now, () => {});
    const before = await passUntil(providers, provider, isReady);
    await bao.admin("POST", `transit/keys/${key.name}/rotate`);
    const isDone = ({ key: seen, rotation }: KmsProviderStatus) => seen?.generation === 1 && rotation === undefined;
    const { status } = await passUntil(providers, raised(before, 1), isDone);
    expect(status.key).toMatchObject({ version: "3", lastRotationTime: expect.any(String) });
    expect(await newestOf(key)).toBe(3);
  });

  test("is rotated once more for a second raise, also while a look goes on that began before the first", async () => {
    const { key, provider } = await make();
    const clock = createClock();
    const providers = createProviders(secretsDir, clock.now, () => {});
    let known = await passUntil(providers, provider, isReady);
    for (const generation of [1, 2]) {
      const isDone = ({ key: seen, rotation }: KmsProviderStatus) =>
        seen?.generation === generation && rotation === undefined;
      const isIntent = ({ rotation }: KmsProviderStatus) => rotation !== undefined;
      known = await passUntil(providers, raised(known, generation), isIntent);
      clock.forward(61_000);
      await observe(providers, known);
      known = await passUntil(providers, known, isDone);
      expect(known.status.key).toMatchObject({ version: String(generation + 1) });
    }
    expect(await newestOf(key)).toBe(3);
  });

  test("stays at the version of its rotation when a look ends that began before", async () => {
    const { provider } = await make();
    const clock = createClock();
    let rings = 0;
    const providers = createProviders(secretsDir, clock.now, () => {
      rings += 1;
    });
    await observe(providers, provider);
    clock.forward(61_000);
    const ringsBefore = rings;
    await observe(providers, provider);
    await providers.act({ kind: "rotate", provider: "vault", ifVersion: "1" }, PATIENT);
    await seenUntil(() => observe(providers, provider), isRotated);
    while (rings < ringsBefore + 2) await sleep(5);
    expect((await observe(providers, provider)).observed.key).toMatchObject({ version: "2" });
  });

  test("is rotated in the background, and its Vault that does not answer holds nobody up", async () => {
    const { key, provider } = await make({ healthCheck: { timeout: "2s" } });
    let rings = 0;
    const providers = createProviders(secretsDir, createClock().now, () => {
      rings += 1;
    });
    const before = await passUntil(providers, provider, isReady);
    const isIntent = ({ rotation }: KmsProviderStatus) => rotation !== undefined;
    let known = await passUntil(providers, raised(before, 1), isIntent);
    await bao.pause();
    try {
      const ringsBefore = rings;
      const beganMs = performance.now();
      for (let time = 0; time < 3; time += 1) {
        await providers.act({ kind: "rotate", provider: "vault", ifVersion: "1" }, PATIENT);
      }
      expect((await observe(providers, known)).observed.isRotating).toBe(true);
      expect(performance.now() - beganMs).toBeLessThan(1_500);
      const isTold = ({ conditions }: KmsProviderStatus) =>
        conditionOf(conditions, "RotationCurrent")?.reason === "RotationFailed";
      known = await passUntil(providers, known, isTold);
      expect(rings).toBe(ringsBefore + 1);
      expect((await observe(providers, known)).observed.isRotating).toBe(true);
    } finally {
      bao.resume();
    }
    const { status } = await passUntil(providers, known, ({ rotation }) => rotation === undefined);
    expect(status.key).toMatchObject({ version: "2" });
    expect(await newestOf(key)).toBe(2);
  });

  test("that somebody else rotates shows its new version after an interval", async () => {
    const { key, provider } = await make();
    const clock = createClock();
    const providers = createProviders(secretsDir, clock.now, () => {});
    await observe(providers, provider);
    await bao.admin("POST", `transit/keys/${key.name}/rotate`);
    expect((await observe(providers, provider)).observed.key).toMatchObject({ version: "1" });
    clock.forward(61_000);
    const isSeen = ({ observed }: SeenProvider) => observed.key.kind === "found" && observed.key.version === "2";
    await seenUntil(() => observe(providers, provider), isSeen);
  });

  test("is looked at on an interval that has become shorter at once", async () => {
    const { key, provider } = await make({ healthCheck: { interval: "1h" } });
    const clock = createClock();
    const providers = createProviders(secretsDir, clock.now, () => {});
    await observe(providers, provider);
    await bao.admin("POST", `transit/keys/${key.name}/rotate`);
    clock.forward(61_000);
    expect((await observe(providers, provider)).observed.key).toMatchObject({ version: "1" });
    const { spec } = provider;
    const hurried = { ...provider, spec: { ...spec, healthCheck: { ...spec.healthCheck, interval: "60s" } } };
    const isSeen = ({ observed }: SeenProvider) => observed.key.kind === "found" && observed.key.version === "2";
    await seenUntil(() => observe(providers, hurried), isSeen);
  });

  test("holds nobody up while its Vault does not answer, is told as failing, and found again", async () => {
    const { provider } = await make({ healthCheck: { timeout: "10s", interval: "12s" } });
    const known = {
      ...provider,
      status: { ...provider.status, key: { id: "transit/x", version: "1", generation: 0 } },
    };
    const clock = createClock();
    let rings = 0;
    const providers = createProviders(secretsDir, clock.now, () => {
      rings += 1;
    });
    await observe(providers, known);
    await bao.pause();
    try {
      clock.forward(13_000);
      const beganMs = performance.now();
      await observe(providers, known);
      // Sooner than anybody gives it up.
      expect(performance.now() - beganMs).toBeLessThan(8_000);
      const isFailed = ({ observed }: SeenProvider) => observed.probe?.outcome === "failed";
      const { observed, material } = await seenUntil(() => observe(providers, known), isFailed);
      expect(observed).toMatchObject({ key: { kind: "found", version: "1" }, probe: { code: "unreachable" } });
      expect(material).toMatchObject({ finding: "KeyUnusable" });
      expect(rings).toBeGreaterThanOrEqual(2);
    } finally {
      bao.resume();
    }
    clock.forward(13_000);
    await seenUntil(
      () => observe(providers, known),
      ({ observed }) => observed.probe?.outcome === "same",
    );
  });

  test("whose new credentials do not work keeps them out of the configuration", async () => {
    const { provider, putToken } = await make();
    const providers = createProviders(secretsDir, createClock().now, () => {});
    await observe(providers, provider);
    await putToken("s.nonsense");
    const { observed, material } = await observe(providers, provider);
    expect(observed).toMatchObject({ key: { kind: "failed", code: "credentials" }, failures: 1 });
    expect(material).toMatchObject({ finding: "KeyUnusable" });
  });

  test("that is not there is told as not found", async () => {
    const { key, provider } = await make();
    await bao.admin("POST", `transit/keys/${key.name}/config`, { deletion_allowed: true });
    await bao.admin("DELETE", `transit/keys/${key.name}`);
    const { observed } = await observe(
      createProviders(secretsDir, createClock().now, () => {}),
      provider,
    );
    expect(observed.key).toMatchObject({ kind: "failed", code: "not-found" });
  });

  test("that was deleted and made anew does not enter the configuration", async () => {
    const { key, provider } = await make();
    const clock = createClock();
    const providers = createProviders(secretsDir, clock.now, () => {});
    await bao.admin("POST", `transit/keys/${key.name}/rotate`);
    const known = await passUntil(providers, provider, isReady);
    await bao.admin("POST", `transit/keys/${key.name}/config`, { deletion_allowed: true });
    await bao.admin("DELETE", `transit/keys/${key.name}`);
    await bao.admin("POST", `transit/keys/${key.name}`, { derived: true });
    clock.forward(61_000);
    const { status } = await passUntil(providers, known, (seen) => !isReady(seen));
    expect(conditionOf(status.conditions, "KeyUsable")).toMatchObject({ status: "False", reason: "KeyNotFound" });
    const { material } = await observe(providers, { ...known, status });
    expect(material).toMatchObject({ finding: "KeyUnusable" });
    await bao.admin("POST", `transit/keys/${key.name}/rotate`);
    clock.forward(61_000);
    await passUntil(providers, { ...known, status }, isReady);
  });

  const byToken = { tokenSecretRef: { name: "vault-login", key: "token" } };
  const unready: Readonly<Record<string, [vault: object, key: object]>> = {
    "whose token is nowhere": [
      { keyName: "k", auth: byToken },
      { kind: "unresolved", reason: "SecretNotFound" },
    ],
    "whose certificates are nowhere": [
      { keyName: "k", auth: byToken, caBundleRef: { name: "authority" } },
      { kind: "unresolved", reason: "ConfigMapNotFound" },
    ],
    "that wants a ServiceAccount": [
      { keyName: "k", auth: { kubernetes: { role: "coffer" } } },
      { kind: "unresolved", reason: "ServiceAccountNotFound" },
    ],
  };
  test.each(Object.entries(unready))("%s is told as that, without asking Vault", async (_what, [vault, key]) => {
    const providers = createProviders(secretsDir, createClock().now, () => {});
    const { observed, material } = await observe(providers, resource(vault));
    expect(observed.key).toMatchObject(key);
    expect(material).toMatchObject({ finding: "KeyUnusable" });
  });

  test("whose mount is no path is the user's mistake", async () => {
    const { key } = await make();
    const auth = { tokenSecretRef: { name: key.name, key: "token" } };
    const provider = resource({ keyName: key.name, transitMount: "../sys", auth });
    const { observed } = await observe(
      createProviders(secretsDir, createClock().now, () => {}),
      provider,
    );
    expect(observed.key).toMatchObject({ kind: "misconfigured", reason: "SpecInvalid" });
  });
});
