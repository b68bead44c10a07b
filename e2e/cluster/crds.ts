// Installs the CustomResourceDefinitions as they are checked in, and waits until the API server serves them.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "yaml";
import { KINDS } from "../../crds/kinds.ts";
import { askApiServer, mustAsk } from "./apiserver.ts";
import type { ApiServerAccess } from "./controlplane.ts";

const PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const WITHIN_MS = 150_000;
const LOOK_EVERY_MS = 50;

interface Definition {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly group: string;
    readonly names: { readonly plural: string };
    readonly versions: readonly { readonly name: string }[];
  };
  readonly status?: { readonly conditions?: readonly Condition[] };
}

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly message?: string;
}

export async function installDefinitions(access: ApiServerAccess): Promise<void> {
  const definitions: Definition[] = [];
  for (const kind of Object.keys(KINDS)) {
    const file = join(import.meta.dirname, "..", "..", "crds", `${kind.toLowerCase()}.yaml`);
    const definition = parse(await readFile(file, "utf8")) as Definition;
    await mustAsk(access, "POST", PATH, definition);
    definitions.push(definition);
  }
  for (const definition of definitions) await untilServed(access, definition);
}

async function untilServed(access: ApiServerAccess, { metadata: { name }, spec }: Definition): Promise<void> {
  const deadlineMs = performance.now() + WITHIN_MS;
  const { group, names, versions } = spec;
  const collection = `/apis/${group}/${versions[0]?.name}/${names.plural}?limit=1`;
  for (;;) {
    const { status } = (await mustAsk(access, "GET", `${PATH}/${name}`)) as unknown as Definition;
    const of = (type: string) => status?.conditions?.find((condition) => condition.type === type);
    const fault = of("NonStructuralSchema") ?? of("KubernetesAPIApprovalPolicyConformant");
    if (fault?.status === "True") throw new Error(`${name}: ${fault.message}`);
    // Who serves it hears of that a moment later.
    const isEstablished = of("Established")?.status === "True";
    if (isEstablished && (await askApiServer(access, "GET", collection)).status === 200) return;
    if (performance.now() > deadlineMs) throw new Error(`${name} is not served: ${JSON.stringify(status)}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}
