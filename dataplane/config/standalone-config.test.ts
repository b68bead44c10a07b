import { describe, expect, it } from "vitest";
import { ConfigError, type DataPlaneConfig, parseConfig } from "./config.ts";
import { EXAMPLE_RING } from "./contract/entries.ts";
import { gather } from "./gather.ts";
import { readWish } from "./standalone.ts";
import { credentialName, type Material, standaloneConfig, tokenOf } from "./standalone-config.ts";

const LOCAL = { type: "Local" as const, ring: EXAMPLE_RING };
const ADMIN = { accessKeyId: "CFADMIN", secret: "admin-secret" };
const VAULT = { COFFER_KMS_ENDPOINT: "https://vault.test", COFFER_KMS_TOKEN: "s.token" };
const TEXT = `
buckets:
  - name: photos
    access: [{name: app}]
  - name: music
    chunk_size: 16384
    context: {team: a}
`;

function wishOf(environment: Record<string, string>, text = TEXT) {
  const files = [{ shown: "coffer.yaml", text, syntax: "yaml" as const }];
  return readWish("coffer.yaml", gather(files, { COFFER_KMS_PROVIDER: "local", ...environment }));
}

function material(more: Partial<Material> = {}): Material {
  const pairs = new Map([
    ["admin", ADMIN],
    [credentialName("photos", "app"), { accessKeyId: "CFAPP", secret: "app-secret" }],
  ]);
  return { local: LOCAL, pairs, rewrapWish: "local/0/1", ...more };
}

async function configOf(
  environment: Record<string, string> = {},
  more: Partial<Material> = {},
  previous?: DataPlaneConfig,
  nowMs = 1000,
): Promise<DataPlaneConfig> {
  return standaloneConfig(await wishOf(environment), material(more), previous, nowMs);
}

describe("standaloneConfig()", () => {
  it("makes what an operator would make, ruled by nobody", async () => {
    const config = await configOf();
    expect(parseConfig(structuredClone(config))).toEqual(config);
    expect(config).toMatchObject({
      revision: 1000,
      ruledBy: "nobody",
      providers: [{ name: "local", kmsKeyId: EXAMPLE_RING.id, resource: "coffer.yaml" }],
      buckets: [
        { name: "photos", state: "serve", keys: [{ provider: "local", minEpoch: 1 }], rewrapWish: "local/0/1" },
        { name: "music", chunkBytes: 16_384, context: { team: "a" }, credentials: [] },
      ],
      selfService: { keys: [{ provider: "local", minEpoch: 1 }], rewrapWish: "local/0/1", allowPlaintext: false },
    });
  });

  it("lets the administrator drive keys, and nobody else", async () => {
    const config = await configOf();
    expect(config.selfService?.credentials).toMatchObject([{ accessKeyId: "CFADMIN", keys: true }]);
    expect(config.buckets[0]?.credentials[0]?.keys).toBeUndefined();
    expect((await configOf({ COFFER_ADMIN_KEYS: "false" })).selfService?.credentials[0]?.keys).toBeUndefined();
  });

  it("gives each credential the token that was chosen, or the one of its pair", async () => {
    const sha256 = async (environment: Record<string, string>) =>
      (await configOf(environment)).selfService?.credentials[0]?.tokenSha256;
    const own = await sha256({ COFFER_ADMIN_TOKEN: "chosen-token-1234" });
    expect(own).toBe("9c4d6bd8a550863ac5650199f8ed788969fbb0c58698415526449a7cf7d1aefd");
    expect(own).not.toBe(await sha256({}));
    expect(tokenOf(ADMIN)).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(tokenOf({ ...ADMIN, secret: "other" })).not.toBe(tokenOf(ADMIN));
  });

  it("refuses an access key and a token that were made for another credential, with the place of what was chosen", async () => {
    const text = `buckets:
  - name: abc
    access:
      - name: a
        access_key: CFADMIN
        secret_key: chosen-secret
      - name: b
        token: ${tokenOf(ADMIN)}
`;
    const wish = await wishOf({}, text);
    const pairs = new Map([
      ...material().pairs,
      [credentialName("abc", "b"), { accessKeyId: "CFB", secret: "b-secret" }],
    ]);
    expect(() => standaloneConfig(wish, material({ pairs }), undefined, 1)).toThrow(
      new ConfigError([
        "coffer.yaml:5 buckets.0.access.0.access_key: is also that of admin.access_key (COFFER_ACCESS_KEY): each credential has its own",
        "coffer.yaml:8 buckets.0.access.1.token: is also that of admin.token (COFFER_ADMIN_TOKEN): each credential has its own",
      ]),
    );
  });

  it.each<[string, Record<string, string>, Partial<Material>, string[]]>([
    ["the ring alone", {}, {}, ["local"]],
    ["Vault alone", { COFFER_KMS_PROVIDER: "vault", ...VAULT }, { local: undefined }, ["vault"]],
    ["Vault, and the ring that it came from", { COFFER_KMS_PROVIDER: "vault", ...VAULT }, {}, ["vault", "local"]],
    ["the ring, and the Vault that it came from", VAULT, {}, ["local", "vault"]],
  ])("writes with the first and opens with the others: %s", async (_sentence, environment, more, names) => {
    const config = await configOf(environment, more);
    expect(config.providers.map(({ name }) => name)).toEqual(names);
    for (const { keys } of config.buckets) expect(keys.map(({ provider }) => provider)).toEqual(names);
    expect(config.selfService?.keys.map(({ provider }) => provider)).toEqual(names);
    expect(parseConfig(structuredClone(config))).toEqual(config);
  });

  it("is the one before where nothing changed", async () => {
    const first = await configOf();
    expect(await configOf({}, {}, first, 5000)).toBe(first);
  });

  it("gives what changed a revision above the last, whatever the clock says, and leaves the rest", async () => {
    const first = await configOf();
    const second = await configOf({ COFFER_KMS_TIMEOUT_SECONDS: "1" }, {}, first, 10);
    expect(second.revision).toBe(1001);
    expect(second.providers[0]).toMatchObject({ revision: 1001, timeoutMs: 1000 });
    expect(second.buckets.map(({ revision }) => revision)).toEqual([1000, 1000]);
    const third = await configOf({ COFFER_KMS_TIMEOUT_SECONDS: "1" }, { rewrapWish: "local/1/1" }, second, 9000);
    expect(third.buckets.map(({ revision }) => revision)).toEqual([9000, 9000]);
    expect(third.providers[0]?.revision).toBe(1001);
  });

  it("keeps retries out of the entry where nobody chose them", async () => {
    expect((await configOf()).providers[0]).not.toHaveProperty("attemptsMax");
    expect((await configOf({ COFFER_KMS_MAX_RETRIES: "3" })).providers[0]?.attemptsMax).toBe(4);
  });
});
