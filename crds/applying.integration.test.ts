// A manifest that is applied again, by server-side apply as kubectl, Flux and Argo CD do it: it changes nothing.

import { beforeAll, expect, it } from "vitest";
import { askApiServer, freshNamespace, sharedApiServer } from "../e2e/cluster/apiserver.ts";
import { KINDS } from "./kinds.ts";
import { API_VERSION } from "./names.ts";
import type { KindName } from "./reasons.ts";

const access = sharedApiServer();
let namespace = "";

interface Applied {
  readonly metadata: {
    readonly generation: number;
    readonly resourceVersion: string;
    readonly managedFields: object[];
  };
  readonly spec: object;
  readonly status: { readonly observedGeneration: number };
}

beforeAll(async () => {
  namespace = await freshNamespace(access, "applying");
});

async function apply(kind: KindName, spec: object): Promise<Applied> {
  const path = `/apis/${API_VERSION}/namespaces/${namespace}/${KINDS[kind].plural}/photos?fieldManager=kubectl`;
  const object = { apiVersion: API_VERSION, kind, metadata: { name: "photos" }, spec };
  const { status, body } = await askApiServer(access, "PATCH", path, object, {
    "content-type": "application/apply-patch+yaml",
  });
  expect(status).toBeLessThan(300);
  return body as unknown as Applied;
}

const SPECS: Readonly<Record<KindName, object>> = {
  KmsProvider: { type: "Local" },
  EncryptedBucket: {
    encryption: { kmsProviderRef: { name: "local" } },
    access: [{ name: "app", permissions: ["Read", "Write"] }],
  },
  EncryptedStore: { backend: { type: "Filesystem" } },
};

it.each(Object.entries(SPECS) as [KindName, object][])(
  "%s: the same manifest again changes nothing, but that a default of the status is stored once",
  async (kind, spec) => {
    const first = await apply(kind, spec);
    const second = await apply(kind, spec);
    const third = await apply(kind, spec);
    expect(first.status).toEqual({ observedGeneration: -1 });
    for (const again of [second, third]) {
      expect({ ...again, metadata: undefined }).toEqual({ ...first, metadata: undefined });
      expect(again.metadata.generation).toBe(1);
      expect(again.metadata.managedFields).toEqual(first.metadata.managedFields);
    }
    expect(third.metadata).toEqual(second.metadata);
  },
);
