// What it takes to open one transit key of HashiCorp Vault or OpenBao: its place, how to trust the server, how to log in.
// The form of the configuration document and the parsed one, side by side; options.ts joins them with the other types.

import { X509Certificate } from "node:crypto";
import Type from "typebox";
import type { Problem } from "./problems.ts";
import { Secret } from "./secret.ts";

export interface VaultOptions {
  readonly type: "Vault";
  /** With or without a path; never with a query or a user. */
  readonly address: string;
  readonly namespace: string | undefined;
  /** Of the transit engine. */
  readonly mount: string;
  readonly keyName: string;
  /** Absent: the host of the address. */
  readonly tlsServerName: string | undefined;
  /** PEM. If present, only these authorities are trusted. */
  readonly caBundle: string | undefined;
  readonly auth: VaultAuth;
}

/** How to log in. A token is renewed for as long as Vault allows; the others log in anew. */
export type VaultAuth =
  | { readonly method: "token"; readonly token: Secret }
  | { readonly method: "appRole"; readonly roleId: string; readonly secretId: Secret; readonly mountPath: string }
  | { readonly method: "kubernetes"; readonly role: string; readonly mountPath: string; readonly tokenPath: string };

const CLOSED = { additionalProperties: false };
/** Segments of letters, digits and a few marks: nothing that would need an escape in a URL. */
const PATH = "^[A-Za-z0-9_.~-]+(/[A-Za-z0-9_.~-]+)*$";
/** What an HTTP header can carry. */
const VISIBLE = "^[!-~]+$";

const mountPath = Type.String({ maxLength: 255, pattern: PATH });
const roleName = Type.String({ minLength: 1, maxLength: 255 });

export const VaultOptionsSchema = Type.Object(
  {
    type: Type.Literal("Vault"),
    address: Type.String({ maxLength: 2048, pattern: "^https?://[^/?#@\\s]+(/[^?#\\s]*)?$" }),
    namespace: Type.Optional(mountPath),
    mount: mountPath,
    keyName: Type.String({ maxLength: 255, pattern: "^[A-Za-z0-9_.-]+$" }),
    tlsServerName: Type.Optional(Type.String({ maxLength: 253, pattern: "^[A-Za-z0-9_.-]+$" })),
    caBundle: Type.Optional(Type.String({ minLength: 1, maxLength: 262_144 })),
    auth: Type.Object(
      {
        token: Type.Optional(Type.String({ maxLength: 8192, pattern: VISIBLE })),
        appRole: Type.Optional(
          Type.Object(
            { roleId: roleName, secretId: Type.String({ minLength: 1, maxLength: 1024 }), mountPath },
            CLOSED,
          ),
        ),
        kubernetes: Type.Optional(
          Type.Object(
            { role: roleName, mountPath, tokenPath: Type.String({ maxLength: 4096, pattern: "^/" }) },
            CLOSED,
          ),
        ),
      },
      CLOSED,
    ),
  },
  CLOSED,
);

type VaultOptionsJson = Type.Static<typeof VaultOptionsSchema>;

/** What the shape cannot say. */
export function vaultProblems(json: VaultOptionsJson, at: string): Problem[] {
  const { auth, caBundle } = json;
  const problems: Problem[] = [];
  if (!URL.canParse(json.address)) problems.push({ at: `${at}/address`, problem: "must be a URL" });
  const paths: [string, string | undefined][] = [
    ["namespace", json.namespace],
    ["mount", json.mount],
    ["keyName", json.keyName],
    ["auth/appRole/mountPath", auth.appRole?.mountPath],
    ["auth/kubernetes/mountPath", auth.kubernetes?.mountPath],
  ];
  for (const [place, path] of paths) {
    // A URL with one of these leads elsewhere.
    const climbs = path?.split("/").some((segment) => segment === "." || segment === "..") === true;
    if (climbs) problems.push({ at: `${at}/${place}`, problem: 'must not hold "." or ".." as a segment' });
  }
  if (caBundle !== undefined && !isBundle(caBundle)) {
    problems.push({ at: `${at}/caBundle`, problem: "must be one or more certificates in PEM" });
  }
  if ([auth.token, auth.appRole, auth.kubernetes].filter((one) => one !== undefined).length !== 1) {
    problems.push({ at: `${at}/auth`, problem: "must have exactly one of token, appRole and kubernetes" });
  }
  return problems;
}

/** Of what has no problem. */
export function parseVaultOptions(json: VaultOptionsJson): VaultOptions {
  const { type, address, mount, keyName } = json;
  return {
    type,
    address,
    namespace: json.namespace,
    mount,
    keyName,
    tlsServerName: json.tlsServerName,
    caBundle: json.caBundle,
    auth: parseAuth(json.auth),
  };
}

/** The inverse of `parseVaultOptions`. */
export function printVaultOptions(options: VaultOptions): VaultOptionsJson {
  const { type, address, namespace, mount, keyName, tlsServerName, caBundle, auth } = options;
  return {
    type,
    address,
    ...(namespace === undefined ? {} : { namespace }),
    mount,
    keyName,
    ...(tlsServerName === undefined ? {} : { tlsServerName }),
    ...(caBundle === undefined ? {} : { caBundle }),
    auth: printAuth(auth),
  };
}

/** `[namespace/]mount/key`: holds no address, so that a server may move. */
export function vaultKeyId({
  namespace,
  mount,
  keyName,
}: Pick<VaultOptions, "namespace" | "mount" | "keyName">): string {
  return [...(namespace === undefined ? [] : [namespace]), mount, keyName].join("/");
}

function parseAuth({ token, appRole, kubernetes }: VaultOptionsJson["auth"]): VaultAuth {
  if (token !== undefined) return { method: "token", token: new Secret(token) };
  if (appRole !== undefined) return { method: "appRole", ...appRole, secretId: new Secret(appRole.secretId) };
  if (kubernetes !== undefined) return { method: "kubernetes", ...kubernetes };
  throw new Error("Options without a way to log in have a problem");
}

function printAuth(auth: VaultAuth): VaultOptionsJson["auth"] {
  switch (auth.method) {
    case "token":
      return { token: auth.token.reveal() };
    case "appRole": {
      const { roleId, secretId, mountPath: at } = auth;
      return { appRole: { roleId, secretId: secretId.reveal(), mountPath: at } };
    }
    case "kubernetes": {
      const { role, mountPath: at, tokenPath } = auth;
      return { kubernetes: { role, mountPath: at, tokenPath } };
    }
  }
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

function isBundle(pem: string): boolean {
  const certificates = pem.match(CERTIFICATE) ?? [];
  return certificates.length > 0 && certificates.every(isCertificate);
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).subject !== undefined;
  } catch {
    // Throwing is its way to say no.
    return false;
  }
}
