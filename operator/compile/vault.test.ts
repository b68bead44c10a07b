import { describe, expect, test } from "vitest";
import type { KmsProvider } from "../../crds/kmsprovider.ts";
import { API_VERSION } from "../../crds/names.ts";
import { validate } from "../../crds/validate.ts";
import { printKmsOptions } from "../../kms/options.ts";
import { CERTIFICATE } from "../../kms/vault/contract/certificate.ts";
import { compileVault, type VaultIdentity, type VaultMaterial, vaultReferences } from "./vault.ts";

const byToken = { tokenSecretRef: { name: "vault", key: "token" } };
const byRole = { appRole: { roleId: "r", secretIdSecretRef: { name: "vault", key: "secret-id" } } };
const byAccount = { kubernetes: { role: "coffer", operatorRole: "coffer-operator" } };

function vault(spec: object = {}): NonNullable<KmsProvider["spec"]["vault"]> {
  const made = validate({
    apiVersion: API_VERSION,
    kind: "KmsProvider",
    metadata: { name: "vault" },
    spec: { type: "Vault", vault: { address: "https://vault:8200", keyName: "photos", auth: byToken, ...spec } },
  });
  if ("problems" in made) throw new Error(JSON.stringify(made.problems));
  return (made.object as KmsProvider).spec.vault as NonNullable<KmsProvider["spec"]["vault"]>;
}

const POD: VaultIdentity = { who: "data plane", tokenPath: "/var/run/token" };
const NOTHING: VaultMaterial = { caBundle: undefined, credential: undefined };

function compiled(spec: object, material: Partial<VaultMaterial>, identity = POD) {
  const outcome = compileVault(vault(spec), { ...NOTHING, ...material }, identity);
  return "mistake" in outcome ? outcome : printKmsOptions(outcome);
}

describe("compileVault()", () => {
  test("gives the options of a token, whose line break at the end is none of it", () => {
    expect(compiled({}, { credential: "s.abc\n" })).toEqual({
      type: "Vault",
      address: "https://vault:8200",
      mount: "transit",
      keyName: "photos",
      auth: { token: "s.abc" },
    });
  });

  test("gives the options of an AppRole, in a namespace, behind a private authority", () => {
    const spec = {
      vaultNamespace: "team",
      transitMount: "engines/transit",
      tlsServerName: "vault.internal",
      caBundleRef: { name: "authority" },
      auth: byRole,
    };
    expect(compiled(spec, { credential: "secret", caBundle: CERTIFICATE })).toMatchObject({
      namespace: "team",
      mount: "engines/transit",
      tlsServerName: "vault.internal",
      caBundle: CERTIFICATE,
      auth: { appRole: { roleId: "r", secretId: "secret", mountPath: "approle" } },
    });
  });

  test("logs the operator in by a role of its own, if it has one, and the data plane by the other", () => {
    const roleOf = (auth: object, identity: VaultIdentity) => compiled({ auth }, {}, identity);
    const operator: VaultIdentity = { ...POD, who: "operator" };
    const tokenPath = POD.tokenPath;
    expect(roleOf(byAccount, POD)).toMatchObject({ auth: { kubernetes: { role: "coffer", tokenPath } } });
    expect(roleOf(byAccount, operator)).toMatchObject({ auth: { kubernetes: { role: "coffer-operator" } } });
    const shared = { kubernetes: { role: "coffer" } };
    expect(roleOf(shared, operator)).toMatchObject({
      auth: { kubernetes: { role: "coffer", mountPath: "kubernetes" } },
    });
  });

  const mistakes: Readonly<
    Record<string, [spec: object, material: Partial<VaultMaterial>, mistake: string, words: string]>
  > = {
    "certificates that are none": [
      { caBundleRef: { kind: "Secret", name: "authority", key: "tls.crt" } },
      { credential: "t", caBundle: "none" },
      "CertificateAuthorityInvalid",
      'Key "tls.crt" of Secret "authority" must be one or more certificates in PEM',
    ],
    "a token that no header can carry": [
      {},
      { credential: "two words" },
      "SecretInvalid",
      'Key "token" of Secret "vault"',
    ],
    "a secret id of no length": [{ auth: byRole }, { credential: " \n" }, "SecretInvalid", 'Key "secret-id" of Secret'],
    "a mount that climbs": [{ transitMount: "../sys" }, { credential: "t" }, "SpecInvalid", "spec.vault.transitMount"],
    "a namespace that ends with a slash": [
      { vaultNamespace: "team/" },
      { credential: "t" },
      "SpecInvalid",
      "spec.vault.vaultNamespace",
    ],
    "a key name that climbs": [{ keyName: ".." }, { credential: "t" }, "SpecInvalid", "spec.vault.keyName"],
    "an address with a password": [
      { address: "https://me:secret@vault" },
      { credential: "t" },
      "SpecInvalid",
      "spec.vault.address",
    ],
  };
  test.each(Object.entries(mistakes))("names %s, and quotes nothing", (_what, [spec, material, mistake, words]) => {
    const outcome = compiled(spec, material);
    expect(outcome).toMatchObject({ mistake });
    expect((outcome as { message: string }).message).toContain(words);
    expect(JSON.stringify(outcome)).not.toMatch(/two words|secret@|none\b/);
  });
});

describe("vaultReferences()", () => {
  test("names what stands elsewhere", () => {
    expect(vaultReferences(vault({ caBundleRef: { name: "authority" } }))).toEqual({
      caBundle: { kind: "ConfigMap", name: "authority", key: "ca.crt" },
      credential: { kind: "Secret", name: "vault", key: "token" },
    });
    expect(vaultReferences(vault({ auth: byRole })).credential).toEqual({
      kind: "Secret",
      name: "vault",
      key: "secret-id",
    });
    expect(vaultReferences(vault({ auth: byAccount }))).toEqual({ caBundle: undefined, credential: undefined });
  });
});
