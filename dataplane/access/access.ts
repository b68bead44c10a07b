/**
 * Who may do what: principals, grants and one pure decision. Grants allow; what no grant allows is denied.
 * `buckets/` and `objects/` ask it, never the protocols, so copy sources, bulk deletes and jobs pass the same guard.
 */
import type { ConfiguredCredential, Permission } from "../config/config.ts";

export interface Credential {
  readonly configured: ConfiguredCredential;
  /** The only bucket of a configured entry; undefined for a self-service credential. */
  readonly bucket: string | undefined;
  readonly selfService: boolean;
}

export type Principal =
  | { readonly kind: "credential"; readonly credential: Credential }
  | { readonly kind: "anonymous" }
  | { readonly kind: "job"; readonly job: string };

export type Action =
  | "ReadObject"
  | "WriteObject"
  | "DeleteObject"
  | "ListObjects"
  | "HeadBucket"
  | "ReadSettings"
  | "WriteSettings"
  | "CreateBucket"
  | "RemoveBucket"
  | "AdministerKeys";

/** What is asked for: a bucket, and whether its name is one for self-service, as every name is that no configuration has. */
export interface Resource {
  readonly bucket: string;
  readonly selfServiceBucket: boolean;
}

/** What a rule may ask of a request beside its principal. */
export interface Facts {
  readonly tls: boolean;
  readonly address: string;
}

export type Verdict = "allowed" | { readonly deniedBy: string };

const PERMISSION: Partial<Record<Action, Permission>> = {
  ReadObject: "Read",
  WriteObject: "Write",
  DeleteObject: "Delete",
  ListObjects: "List",
};

const SELF_SERVICE_ACTIONS: ReadonlySet<Action> = new Set(["CreateBucket", "RemoveBucket", "WriteSettings"]);

/** Pure. A job may act on every bucket: the configuration asked for it. */
export function authorize(who: Principal, action: Action, on: Resource, nowMs: number): Verdict {
  if (who.kind === "job") return "allowed";
  if (who.kind === "anonymous") return { deniedBy: "no credential was given" };
  const { credential } = who;
  const { endsMs } = credential.configured;
  if (endsMs !== undefined && endsMs <= nowMs) return { deniedBy: "the credential has ended" };
  if (action === "AdministerKeys") {
    return credential.configured.keys === true ? "allowed" : { deniedBy: "the credential may not administer keys" };
  }
  if (credential.selfService) return authorizeSelfService(action, on);
  if (credential.bucket !== on.bucket) return { deniedBy: "the credential belongs to another bucket" };
  return authorizeGrant(credential.configured.permissions, action);
}

function authorizeSelfService(action: Action, on: Resource): Verdict {
  if (action === "CreateBucket" || on.selfServiceBucket) return "allowed";
  return { deniedBy: "a self-service credential reaches only the buckets of self-service" };
}

function authorizeGrant(permissions: readonly Permission[], action: Action): Verdict {
  if (SELF_SERVICE_ACTIONS.has(action)) return { deniedBy: `${action} needs a self-service credential` };
  const needed = PERMISSION[action];
  if (needed === undefined)
    return permissions.length > 0 ? "allowed" : { deniedBy: "the credential has no permission" };
  return permissions.includes(needed) ? "allowed" : { deniedBy: `the credential lacks the permission ${needed}` };
}
