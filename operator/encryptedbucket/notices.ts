// What people are told of an EncryptedBucket beside its conditions: of its credentials and of its keys. Pure.

import type { EncryptedBucketStatus } from "../../crds/encryptedbucket.ts";
import { conditionOf } from "../conditions.ts";
import type { Notice } from "../kind.ts";

/** What is done about the Secret of an access entry. */
interface SecretAction {
  readonly kind: "create" | "publish" | "remove";
  readonly entry: string;
}

export function bucketNotices(
  before: EncryptedBucketStatus,
  after: EncryptedBucketStatus,
  actions: readonly SecretAction[],
): Notice[] {
  const credentials = [
    ...rotatedEntries(before, after).map((entry) => rotated(`new credentials for access entry ${entry}`)),
    ...replacedEntries(before, actions).map((entry) =>
      rotated(`new credentials for access entry ${entry}: its Secret was gone, so the old ones have ended`),
    ),
    ...endedEntries(before, after, actions).map(ended),
  ];
  return [...credentials, ...rewrapNotices(before, after)];
}

function rotated(message: string): Notice {
  return { type: "Normal", reason: "CredentialsRotated", message };
}

function ended(entry: string): Notice {
  return { type: "Normal", reason: "CredentialsEnded", message: `access entry ${entry} has gone: its credentials end` };
}

type Given = NonNullable<EncryptedBucketStatus["access"]>[number];

function givenTo(entry: string, { access = [] }: EncryptedBucketStatus): Given | undefined {
  return access.find(({ name }) => name === entry);
}

/** When applications find the new pair: the status that says so is written once, and earlier passes may be repeated. */
function rotatedEntries(before: EncryptedBucketStatus, { access = [] }: EncryptedBucketStatus): string[] {
  const raised = access.filter(({ name, credentialsGeneration }) => {
    const given = givenTo(name, before);
    return given !== undefined && given.credentialsGeneration < credentialsGeneration;
  });
  return raised.map(({ name }) => name);
}

/** What is made for the first time is no news. */
function replacedEntries(before: EncryptedBucketStatus, actions: readonly SecretAction[]): string[] {
  const made = actions.filter(({ kind, entry }) => kind === "create" && givenTo(entry, before) !== undefined);
  return made.map(({ entry }) => entry);
}

/** An entry whose Secret gets another name is still there. */
function endedEntries(
  before: EncryptedBucketStatus,
  after: EncryptedBucketStatus,
  actions: readonly SecretAction[],
): string[] {
  const removed = actions.filter(({ kind, entry }) => kind === "remove" && givenTo(entry, before) !== undefined);
  return removed.filter(({ entry }) => givenTo(entry, after) === undefined).map(({ entry }) => entry);
}

function rewrapNotices(before: EncryptedBucketStatus, after: EncryptedBucketStatus): Notice[] {
  const found: Notice[] = [];
  const isDone = conditionOf(after.conditions, "RewrapComplete")?.reason === "RewrapDone";
  // Times are whole seconds: two sweeps may end in one of them, and then the version tells them apart.
  const isAnother =
    before.rewrap?.completionTime !== after.rewrap?.completionTime ||
    before.encryption?.provider !== after.encryption?.provider ||
    before.encryption?.keyVersion !== after.encryption?.keyVersion;
  // The first sweep of a bucket finds nothing to tell of.
  if (isDone && before.rewrap !== undefined && isAnother) {
    const by = `KmsProvider ${after.encryption?.provider}, version ${after.encryption?.keyVersion}`;
    found.push({ type: "Normal", reason: "RewrapDone", message: `its keys are wrapped by ${by}` });
  }
  const is = conditionOf(after.conditions, "RewrapComplete");
  const isNews = conditionOf(before.conditions, "RewrapComplete")?.reason !== is?.reason;
  if (is?.reason === "RewrapFailed" && isNews) {
    found.push({ type: "Warning", reason: "RewrapFailed", message: is.message });
  }
  return found;
}
