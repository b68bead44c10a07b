// Checks the metadata of an object as the API server does, as far as a person writes it.

import { isObject } from "./defaults.ts";
import type { Finding } from "./openapi.ts";

const FIELDS = new Set([
  "name",
  "generateName",
  "namespace",
  "uid",
  "generation",
  "resourceVersion",
  "creationTimestamp",
  "deletionTimestamp",
  "deletionGracePeriodSeconds",
  "finalizers",
  "labels",
  "annotations",
  "ownerReferences",
  "managedFields",
  "selfLink",
]);
const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const NAME_RULE =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";

/** All that is wrong with `metadata`. A name is needed: nothing here makes one up. */
export function metadataFindings(metadata: unknown): Finding[] {
  if (metadata === undefined) {
    return [{ path: "metadata.name", message: "Required value: name is required", blocking: true }];
  }
  if (!isObject(metadata)) {
    return [];
  }
  const findings: Finding[] = nameFindings(metadata["name"]);
  for (const [field, value] of Object.entries(metadata)) {
    const path = `metadata.${field}`;
    if (!FIELDS.has(field)) {
      findings.push({ path, message: `unknown field "${path}"`, blocking: false });
    }
    if (field === "labels" || field === "annotations") {
      findings.push(...textMapFindings(value, path));
    }
  }
  return findings;
}

function nameFindings(name: unknown): Finding[] {
  const path = "metadata.name";
  if (name === undefined || name === null || name === "") {
    return [{ path, message: "Required value: name is required", blocking: true }];
  }
  if (typeof name !== "string") {
    return [{ path, message: `Invalid value: ${JSON.stringify(name)}: must be a string`, blocking: true }];
  }
  if (name.length > 253 || !SUBDOMAIN.test(name)) {
    return [{ path, message: `Invalid value: ${JSON.stringify(name)}: ${NAME_RULE}`, blocking: false }];
  }
  return [];
}

function textMapFindings(value: unknown, path: string): Finding[] {
  if (value === null || (isObject(value) && Object.values(value).every((text) => typeof text === "string"))) {
    return [];
  }
  return [{ path, message: "must be a map from string to string", blocking: false }];
}
