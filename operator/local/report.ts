// Says on the terminal what changed, each thing once, and greets when all that is there works for the first time.

import type { EncryptedBucket } from "../../crds/encryptedbucket.ts";
import type { EncryptedStore } from "../../crds/encryptedstore.ts";
import type { AnyResource } from "../../crds/kinds.ts";
import { bucketNameOf } from "../compile/compile.ts";
import { conditionOf } from "../conditions.ts";
import type { Notice } from "../kind.ts";
import { accessPath } from "./accessfiles.ts";
import { type Given, type Urls, welcome } from "./hints.ts";
import type { Records, Refusal } from "./records.ts";
import { shownPath } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

export interface Report {
  tell(resource: AnyResource, notice: Notice): void;
  failed(resource: AnyResource, error: unknown): void;
  /** All that is refused now: what is new is told, and what is no longer. */
  refused(refusals: readonly Refusal[]): void;
  gone(resources: readonly AnyResource[]): void;
  /** Nothing is left to be done for now. */
  settled(records: Records): void;
}

export interface ReportNeeds {
  readonly terminal: Terminal;
  readonly urls: Urls;
  readonly accessDir: string;
}

const WORDS = { KmsProvider: "KmsProvider", EncryptedBucket: "bucket", EncryptedStore: "store" } as const;
const GONE = {
  KmsProvider: "gone from the folder; its key ring stays, and buckets that use it are served as before",
  EncryptedBucket: "gone from the folder; it is no longer served, and its data stay (whatever deletionPolicy says)",
  EncryptedStore: "gone from the folder; it goes on as it was",
} as const;

export function createReport({ terminal, urls, accessDir }: ReportNeeds): Report {
  let standing = new Set<string>();
  let lastFailure = "";
  let hasGreeted = false;
  const announced = new Set<string>();

  function name(resource: AnyResource): string {
    return `${WORDS[resource.kind]} ${resource.metadata.name}`;
  }

  /** Whose credentials nobody has been told of yet. */
  function whereToLook(resource: AnyResource): string {
    if (!hasGreeted || resource.kind !== "EncryptedBucket" || announced.has(resource.metadata.name)) return "";
    announced.add(resource.metadata.name);
    const files = given(resource, accessDir).map(({ path }) => shownPath(path));
    return files.length === 0 ? "" : `, credentials in ${files.join(", ")}`;
  }

  return {
    tell(resource, { type, reason, message }) {
      const line = `${name(resource)}: ${message}${reason === "Ready" ? whereToLook(resource) : ""}`;
      if (type === "Warning") terminal.warn(line);
      else terminal.say(line);
    },

    failed(resource, error) {
      const line = `${name(resource)}: ${error instanceof Error ? error.message : "unknown error"}; it is tried again`;
      if (line !== lastFailure) terminal.warn(line);
      lastFailure = line;
    },

    refused(refusals) {
      const lines = refusals.map(({ file, line, reason }) => {
        const place = line === undefined ? file : `${file}:${line}`;
        return `${place}: ${reason}`;
      });
      for (const line of lines) {
        if (!standing.has(line)) terminal.warn(`refused ${line}`);
      }
      if (standing.size > 0 && lines.length === 0) terminal.say("the folder is in order again");
      standing = new Set(lines);
    },

    gone(resources) {
      for (const resource of resources) terminal.warn(`${name(resource)}: ${GONE[resource.kind]}`);
    },

    settled(records) {
      const resources = [...records.values()].filter(({ isGone }) => !isGone).map(({ object }) => object);
      const isUnderWay = resources.some(({ status }) => conditionOf(status.conditions, "Reconciling") !== undefined);
      const isServing = resources.some((one) => one.kind === "EncryptedStore" && isReady(one));
      if (hasGreeted || isUnderWay || !isServing) return;
      const buckets = resources.filter((object) => object.kind === "EncryptedBucket").filter(isReady);
      const stores = resources.filter((object) => object.kind === "EncryptedStore").filter(isReady);
      const all = [
        ...buckets.flatMap((bucket) => given(bucket, accessDir)),
        ...stores.flatMap((store) => givenToMakers(store, accessDir)),
      ];
      for (const line of welcome(urls, all)) terminal.say(line);
      for (const { metadata } of buckets) announced.add(metadata.name);
      hasGreeted = true;
    },
  };
}

function isReady({ status }: AnyResource): boolean {
  return conditionOf(status.conditions, "Ready")?.status === "True";
}

function given(bucket: EncryptedBucket, accessDir: string): Given[] {
  return (bucket.spec.access ?? []).map(({ name, permissions }) => ({
    bucket: bucketNameOf(bucket),
    entry: name,
    permissions,
    path: accessPath(accessDir, bucket.metadata.name, name),
  }));
}

function givenToMakers({ metadata, spec }: EncryptedStore, accessDir: string): Given[] {
  return (spec.selfService?.access ?? []).map(({ name }) => ({
    bucket: undefined,
    entry: name,
    permissions: [],
    path: accessPath(accessDir, metadata.name, name),
  }));
}
