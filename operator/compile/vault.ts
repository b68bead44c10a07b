// What it takes to open the key of a Vault provider, from its spec and what that refers to. Pure: whoever compiles reads
// Secrets and ConfigMaps, and says as whom to log in.

import type { KmsProvider } from "../../crds/kmsprovider.ts";
import { type Problem, parseKmsOptions, type VaultOptions } from "../../kms/options.ts";

type VaultSpec = NonNullable<KmsProvider["spec"]["vault"]>;

/** A key of a Secret or ConfigMap. */
export interface Reference {
  readonly kind: "Secret" | "ConfigMap";
  readonly name: string;
  readonly key: string;
}

/** What of a Vault provider stands elsewhere. */
export interface VaultReferences {
  readonly caBundle: Reference | undefined;
  /** The token, or the secret id of the AppRole. */
  readonly credential: Reference | undefined;
}

/** What stood there; of what is referred to nothing is missing. */
export interface VaultMaterial {
  readonly caBundle: string | undefined;
  readonly credential: string | undefined;
}

/** Who logs in, and where the ServiceAccount's token is for the one way of logging in that needs it. */
export interface VaultIdentity {
  readonly who: "operator" | "data plane";
  readonly tokenPath: string;
}

export interface VaultMistake {
  readonly mistake: "CertificateAuthorityInvalid" | "SecretInvalid" | "SpecInvalid";
  readonly message: string;
}

export function vaultReferences({ caBundleRef, auth }: VaultSpec): VaultReferences {
  const secret = auth.tokenSecretRef ?? auth.appRole?.secretIdSecretRef;
  return { caBundle: caBundleRef, credential: secret === undefined ? undefined : { kind: "Secret", ...secret } };
}

export function compileVault(
  vault: VaultSpec,
  { caBundle, credential }: VaultMaterial,
  identity: VaultIdentity,
): VaultOptions | VaultMistake {
  const { address, vaultNamespace, transitMount, keyName, tlsServerName } = vault;
  const parsed = parseKmsOptions({
    type: "Vault",
    address,
    ...(vaultNamespace === undefined ? {} : { namespace: vaultNamespace }),
    mount: transitMount,
    keyName,
    ...(tlsServerName === undefined ? {} : { tlsServerName }),
    ...(caBundle === undefined ? {} : { caBundle }),
    auth: authOf(vault, credential, identity),
  });
  if ("problems" in parsed) return mistakeOf(vault, parsed.problems);
  if (parsed.options.type === "Vault") return parsed.options;
  throw new Error("Options of Vault were parsed to those of another type");
}

function authOf({ auth }: VaultSpec, credential: string | undefined, { who, tokenPath }: VaultIdentity): object {
  // Whoever writes a Secret by hand ends it with a line break.
  const secret = credential?.trim();
  if (auth.appRole !== undefined) {
    const { roleId, mountPath } = auth.appRole;
    return { appRole: { roleId, secretId: secret, mountPath } };
  }
  if (auth.kubernetes !== undefined) {
    const { role, operatorRole, mountPath } = auth.kubernetes;
    return { kubernetes: { role: who === "operator" ? (operatorRole ?? role) : role, mountPath, tokenPath } };
  }
  return { token: secret };
}

/** Where in the spec each of the options comes from. */
const SPEC_PLACES: Readonly<Record<string, string>> = {
  "/namespace": "spec.vault.vaultNamespace",
  "/mount": "spec.vault.transitMount",
};
const CREDENTIALS: readonly string[] = ["/auth/token", "/auth/appRole/secretId"];

function mistakeOf(vault: VaultSpec, problems: readonly Problem[]): VaultMistake {
  const words = problems.map(({ at, problem }) => `${placeOf(vault, at)} ${problem}`).join("; ");
  const [first] = problems;
  if (first?.at === "/caBundle") return { mistake: "CertificateAuthorityInvalid", message: words };
  if (first !== undefined && CREDENTIALS.includes(first.at)) return { mistake: "SecretInvalid", message: words };
  return { mistake: "SpecInvalid", message: words };
}

function placeOf(vault: VaultSpec, at: string): string {
  const { caBundle, credential } = vaultReferences(vault);
  const reference = at === "/caBundle" ? caBundle : CREDENTIALS.includes(at) ? credential : undefined;
  if (reference !== undefined) return `Key "${reference.key}" of ${reference.kind} "${reference.name}"`;
  return SPEC_PLACES[at] ?? `spec.vault${at.replaceAll("/", ".")}`;
}
