// The table of cases against a real API server: what it accepts and refuses, and where, is what validate() says.

import { beforeAll, describe, expect, it } from "vitest";
import { askApiServer, freshNamespace, sharedApiServer } from "../e2e/cluster/apiserver.ts";
import { CASES } from "./cases/cases.ts";
import { KINDS } from "./kinds.ts";
import { API_VERSION } from "./names.ts";
import type { KindName } from "./reasons.ts";
import { validate } from "./validate.ts";

const KIND_NAMES = Object.keys(CASES) as KindName[];
const access = sharedApiServer();
let namespace = "";

interface Cause {
  readonly field?: string;
  readonly message?: string;
  readonly reason?: string;
}

interface Refusal {
  readonly message?: string;
  readonly details?: { readonly causes?: readonly Cause[] };
}

beforeAll(async () => {
  namespace = await freshNamespace(access, "cases");
});

function pathOf(kind: KindName): string {
  return `/apis/${API_VERSION}/namespaces/${namespace}/${KINDS[kind].plural}`;
}

/** In our namespace. */
function placed(object: object, more: object = {}): object {
  const { metadata } = object as { readonly metadata: object };
  return { ...object, metadata: { ...metadata, namespace, ...more } };
}

const DRY_RUN = "?dryRun=All&fieldValidation=Strict";

describe.each(KIND_NAMES)("%s", (kind) => {
  it.each(Object.entries(CASES[kind]))("%s", async (_, { object, before, refused }) => {
    const answer = before === undefined ? await created(kind, object) : await updated(kind, before, object);
    const { message = "", details } = answer.body as Refusal;
    if (refused === undefined) {
      expect(message).toBe("");
      expect(answer.status).toBeLessThan(300);
      return;
    }
    expect(answer.status).toBeGreaterThanOrEqual(400);
    const said = [message, ...(details?.causes ?? []).map(({ field, message: words }) => `${field}: ${words}`)];
    const local = validate(object, before === undefined ? undefined : accepted(before));
    const problem = "problems" in local ? local.problems[0]?.message : undefined;
    expect(said.join("\n")).toContain(refused.says);
    expect(problem).toContain(refused.says);
    expect(said.join("\n")).toContain(refused.path);
  });
});

async function created(kind: KindName, object: object) {
  return await askApiServer(access, "POST", `${pathOf(kind)}${DRY_RUN}`, placed(object));
}

/** What was there is made for real, and removed: the next case may want the name. */
async function updated(kind: KindName, before: object, object: object) {
  const first = await askApiServer(access, "POST", `${pathOf(kind)}?fieldValidation=Strict`, placed(before));
  expect(first.body["message"]).toBeUndefined();
  const { name, resourceVersion } = first.body["metadata"] as {
    readonly name: string;
    readonly resourceVersion: string;
  };
  try {
    const path = `${pathOf(kind)}/${name}${DRY_RUN}`;
    return await askApiServer(access, "PUT", path, placed(object, { resourceVersion }));
  } finally {
    await askApiServer(access, "DELETE", `${pathOf(kind)}/${name}`);
  }
}

function accepted(object: object) {
  const result = validate(object);
  if ("problems" in result) throw new Error(JSON.stringify(result.problems));
  return result.object;
}
