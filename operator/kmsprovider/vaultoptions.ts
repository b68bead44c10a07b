// What opens the key of a Vault provider where there is a cluster: its references read by name, and two ways to log in, the
// operator's own and that of the pods.

import type { KmsProvider } from "../../crds/kmsprovider.ts";
import { KMS_SERVICE_ACCOUNT, VAULT_AUDIENCE } from "../../crds/names.ts";
import type { VaultOptions } from "../../kms/options.ts";
import { compileVault, type Reference, type VaultMaterial, vaultReferences } from "../compile/compile.ts";
import { isKubeError } from "../kube/failure.ts";
import type { NamedReader } from "../kube/namedreader.ts";
import type { ConfigMapObject, SecretObject } from "../kube/resources.ts";
import type { KeyFound } from "./plan.ts";

export interface VaultNeeds {
  readonly secrets: NamedReader<SecretObject>;
  readonly configMaps: NamedReader<ConfigMapObject>;
  /** Where the pods of a store find the token that they log in with. */
  readonly podTokenPath: string;
  /** A file with a token of that ServiceAccount that will be good for a while. */
  tokenFile(
    serviceAccount: { readonly namespace: string; readonly name: string },
    audience: string,
    signal: AbortSignal,
  ): Promise<string>;
}

export type VaultFound =
  | { readonly options: VaultOptions; readonly podOptions: VaultOptions }
  | { readonly key: KeyFound };

type VaultAuth = NonNullable<KmsProvider["spec"]["vault"]>["auth"];

export async function findVaultOptions(
  provider: KmsProvider,
  needs: VaultNeeds,
  signal: AbortSignal,
): Promise<VaultFound> {
  const { vault } = provider.spec;
  const { namespace = "", name } = provider.metadata;
  if (vault === undefined) throw new Error(`KmsProvider "${name}" is not of type Vault`);
  const texts: { -readonly [Name in keyof VaultMaterial]: VaultMaterial[Name] } = {
    caBundle: undefined,
    credential: undefined,
  };
  const references = vaultReferences(vault);
  for (const part of ["caBundle", "credential"] as const) {
    const reference = references[part];
    if (reference === undefined) continue;
    const read = await readReference(namespace, reference, needs, signal);
    if (typeof read !== "string") return { key: read };
    texts[part] = read;
  }
  const login = await operatorTokenPath(provider, needs, signal);
  if (typeof login !== "string") return { key: login };
  const options = compileVault(vault, texts, { who: "operator", tokenPath: login });
  const podOptions = compileVault(vault, texts, { who: "data plane", tokenPath: needs.podTokenPath });
  for (const outcome of [options, podOptions]) {
    if (!("mistake" in outcome)) continue;
    const { mistake, message } = outcome;
    if (mistake === "SecretInvalid") return { key: { kind: "unresolved", reason: mistake, message } };
    return { key: { kind: "misconfigured", reason: mistake, message } };
  }
  return { options: options as VaultOptions, podOptions: podOptions as VaultOptions };
}

/** Every name that the provider's spec refers to, as `Secret/name`. */
export function referencesOf({ spec, metadata }: KmsProvider): string[] {
  const place = (kind: string, name: string) => `${kind}/${metadata.namespace ?? ""}/${name}`;
  const ring = spec.local?.keySecretRef;
  const vault = spec.vault === undefined ? undefined : vaultReferences(spec.vault);
  const named = [vault?.caBundle, vault?.credential].filter((one) => one !== undefined);
  const login = spec.vault?.auth.kubernetes;
  return [
    ...(login === undefined ? [] : [place("ServiceAccount", loginAs(login).name)]),
    ...(ring === undefined ? [] : [place("Secret", ring.name)]),
    ...named.map(({ kind, name }) => place(kind, name)),
  ];
}

async function readReference(
  namespace: string,
  { kind, name, key }: Reference,
  { secrets, configMaps }: VaultNeeds,
  signal: AbortSignal,
): Promise<string | KeyFound> {
  const where = { namespace, name };
  const object = kind === "Secret" ? await secrets.read(where, signal) : await configMaps.read(where, signal);
  if (object === undefined) {
    const message = `${kind} "${name}" does not exist: make it, with the key "${key}"`;
    return { kind: "unresolved", reason: `${kind}NotFound`, message };
  }
  const text = kind === "ConfigMap" ? object.data?.[key] : textOf(object.data?.[key]);
  if (text !== undefined) return text;
  const message = `${kind} "${name}" has no key "${key}": add it, or correct the reference`;
  return { kind: "unresolved", reason: `${kind}KeyMissing`, message };
}

function textOf(base64: string | undefined): string | undefined {
  return base64 === undefined ? undefined : Buffer.from(base64, "base64").toString("utf8");
}

/** "/" where no token is needed. */
async function operatorTokenPath(
  { spec, metadata }: KmsProvider,
  needs: VaultNeeds,
  signal: AbortSignal,
): Promise<string | KeyFound> {
  const kubernetes = spec.vault?.auth.kubernetes;
  if (kubernetes === undefined) return "/";
  const { namespace = "" } = metadata;
  const { name } = loginAs(kubernetes);
  try {
    return await needs.tokenFile({ namespace, name }, VAULT_AUDIENCE, signal);
  } catch (error) {
    if (isKubeError(error, "not-found")) {
      if (kubernetes.serviceAccountRef === undefined) return { kind: "loginMissing", account: name };
      const message = `ServiceAccount "${name}" does not exist: make it, or leave spec.vault.auth.kubernetes.serviceAccountRef out`;
      return { kind: "unresolved", reason: "ServiceAccountNotFound", message };
    }
    if (!isKubeError(error, "denied")) throw error;
    return { kind: "unresolved", reason: "TokenRequestDenied", message: deniedWords(namespace, name, error.message) };
  }
}

function loginAs({ serviceAccountRef }: NonNullable<VaultAuth["kubernetes"]>): { readonly name: string } {
  return serviceAccountRef ?? { name: KMS_SERVICE_ACCOUNT };
}

/** What whoever may give that right has to paste, whole. */
function deniedWords(namespace: string, serviceAccount: string, refusal: string): string {
  const name = `coffer-token-${serviceAccount}`;
  const right = `--verb=create --resource=serviceaccounts/token --resource-name=${serviceAccount}`;
  // The API server says whom it refuses; the operator itself does not know its own name.
  const [, operator = "NAMESPACE:NAME"] = /"system:serviceaccount:([^"]+)"/.exec(refusal) ?? [];
  return [
    `The operator may not request tokens of ServiceAccount "${serviceAccount}". To allow it:`,
    `kubectl -n ${namespace} create role ${name} ${right}`,
    `&& kubectl -n ${namespace} create rolebinding ${name} --role=${name} --serviceaccount=${operator}`,
  ].join(" ");
}
