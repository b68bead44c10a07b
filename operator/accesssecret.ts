// The Secret that an application finds its credentials in: from a pair to its keys, and back. Pure.

import { ACCESS_KEYS, REGION } from "../crds/names.ts";
import { type Pair, type SecretSeen, tokenOf } from "./compile/compile.ts";
import { isControlledBy, labelsOf, type Manifest, type Owner, ownedBy } from "./manifest.ts";

/** What stands beside the pair. Credentials for no single bucket name none. */
export interface AccessSurroundings {
  readonly s3Url: string;
  readonly restUrl: string;
  readonly bucketName: string | undefined;
}

export interface AccessSecret extends Manifest {
  readonly type: "Opaque";
  readonly data: Record<string, string>;
}

/** What of a Secret is looked at. */
export interface SecretLooked {
  readonly metadata: {
    readonly name: string;
    readonly ownerReferences?: readonly { readonly uid: string; readonly controller?: boolean }[];
  };
  readonly data?: Readonly<Record<string, string>>;
}

export function accessSecret(owner: Owner, secretName: string, pair: Pair, around: AccessSurroundings): AccessSecret {
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: {
      namespace: owner.metadata.namespace ?? "",
      name: secretName,
      labels: labelsOf(owner.metadata.name, "access"),
      ownerReferences: ownedBy(owner),
    },
    type: "Opaque",
    data: accessData(pair, around),
  };
}

/** The values, in base64. */
export function accessData(pair: Pair, around: AccessSurroundings): Record<string, string> {
  const values: Record<string, string> = {
    [ACCESS_KEYS.s3Endpoint]: around.s3Url,
    [ACCESS_KEYS.region]: REGION,
    [ACCESS_KEYS.defaultRegion]: REGION,
    [ACCESS_KEYS.accessKeyId]: pair.accessKeyId,
    [ACCESS_KEYS.secretAccessKey]: pair.secret,
    ...(around.bucketName === undefined ? {} : { [ACCESS_KEYS.bucketName]: around.bucketName }),
    [ACCESS_KEYS.restUrl]: around.restUrl,
    [ACCESS_KEYS.token]: tokenOf(pair),
  };
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, base64(value)]));
}

/** What stands at the place of one access entry. What is not controlled by the owner is another's. A Secret of ours whose
 *  pair somebody has taken out, or spoiled, is as good as absent for applications; it is written anew over itself. */
export function seeAccessSecret(
  secret: SecretLooked | undefined,
  owner: Owner,
  around: AccessSurroundings,
): SecretSeen {
  if (secret === undefined) return { kind: "absent" };
  if (!isControlledBy(secret, owner)) return { kind: "foreign", place: `Secret "${secret.metadata.name}"` };
  const pair = {
    accessKeyId: credentialIn(secret, ACCESS_KEYS.accessKeyId),
    secret: credentialIn(secret, ACCESS_KEYS.secretAccessKey),
  };
  const wanted = accessData(pair, around);
  const isTidy = Object.entries(wanted).every(([name, value]) => secret.data?.[name] === value);
  return { kind: "pair", pair, isTidy };
}

/** Only what a configuration takes: a pair that it refuses would take everything else down with it. */
function credentialIn(secret: SecretLooked, name: string): string {
  const value = Buffer.from(secret.data?.[name] ?? "", "base64").toString("utf8");
  return /^[A-Za-z0-9_-]{16,128}$/.test(value) ? value : "";
}

/** Whether a pair that was found can be used. */
export function isUsablePair({ accessKeyId, secret }: Pair): boolean {
  return accessKeyId !== "" && secret !== "";
}

function base64(text: string): string {
  return Buffer.from(text, "utf8").toString("base64");
}
