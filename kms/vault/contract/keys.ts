// Transit keys for tests, and tokens for them with the policies that examples/vault/ shows, no more.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { KmsSubject, TestKey } from "../../contract/contract.ts";
import type { Kms } from "../../kms.ts";
import { parseKmsOptions, type VaultOptions } from "../../options.ts";
import { Secret } from "../../secret.ts";
import { systemTimers } from "../../timers.ts";
import { createVaultKeyAdmin } from "../admin.ts";
import { createRefusedLogins } from "../refused-logins.ts";
import { type OpenBao, startOpenBao } from "./openbao.ts";

/** Of an answer that comes: longer than a busy machine stands still. */
export const TIMEOUT_MS = 20_000;
export const MEANS = {
  timeoutMs: TIMEOUT_MS,
  timers: systemTimers,
  refusedLogins: createRefusedLogins(systemTimers),
};

const EXAMPLES = join(import.meta.dirname, "..", "..", "..", "examples", "vault");

export interface VaultKey {
  readonly name: string;
  /** Names of policies. */
  readonly dataPlane: string;
  readonly operator: string;
  /** With a token that has this policy and the default one. */
  options(policy: string, more?: object): Promise<VaultOptions>;
  token(json: object): Promise<string>;
}

let keysMade = 0;

/** A new derived key with one version, and the two policies for it. */
export async function makeVaultKey(
  bao: OpenBao,
  json: object = { derived: true },
  name = `key-${++keysMade}`,
): Promise<VaultKey> {
  await bao.admin("POST", `transit/keys/${name}`, json);
  const [dataPlane, operator] = [`data-plane-${name}`, `operator-${name}`];
  for (const [policy, file] of [
    [dataPlane, "data-plane.hcl"],
    [operator, "operator.hcl"],
  ] as const) {
    const text = (await readFile(join(EXAMPLES, file), "utf8")).replaceAll("photos", name);
    await bao.admin("PUT", `sys/policies/acl/${policy}`, { policy: text });
  }
  const token = async (wanted: object) => {
    const { auth } = await bao.admin("POST", "auth/token/create", { no_parent: true, ...wanted });
    return auth["client_token"] as string;
  };
  return {
    name,
    dataPlane,
    operator,
    token,
    async options(policy, more = {}) {
      return vaultOptions(bao, name, { auth: { token: await token({ policies: [policy], ttl: "1h" }) }, ...more });
    },
  };
}

/** As the configuration gives them: parsed. */
export function vaultOptions(bao: OpenBao, keyName: string, more: object): VaultOptions {
  const { address, caBundle } = bao;
  const json = {
    type: "Vault",
    address,
    mount: "transit",
    keyName,
    ...(caBundle === undefined ? {} : { caBundle }),
    ...more,
  };
  const parsed = parseKmsOptions(json);
  if ("problems" in parsed || parsed.options.type !== "Vault") throw new Error(JSON.stringify(parsed));
  return parsed.options;
}

/** The contract's subject: keys in one server, opened by `open` with what a data plane may do. */
export async function startVaultSubject(open: (options: VaultOptions) => Promise<Kms>): Promise<KmsSubject> {
  const bao = await startOpenBao();
  const closing: { close(): Promise<void> }[] = [];
  return {
    provider: "Vault",
    async makeKey(): Promise<TestKey> {
      const key = await makeVaultKey(bao);
      const admin = createVaultKeyAdmin(await key.options(key.operator), MEANS);
      closing.push(admin);
      const options = await key.options(key.dataPlane);
      return {
        kmsKeyId: `transit/${key.name}`,
        admin,
        async open() {
          const kms = await open(options);
          closing.push(kms);
          return kms;
        },
        async remove() {
          await bao.admin("POST", `transit/keys/${key.name}/config`, { deletion_allowed: true });
          await bao.admin("DELETE", `transit/keys/${key.name}`);
        },
      };
    },
    async close() {
      await Promise.all(closing.map((one) => one.close()));
      await bao.stop();
    },
  };
}

export function withToken(options: VaultOptions, token: string): VaultOptions {
  return { ...options, auth: { method: "token", token: new Secret(token) } };
}
