// Installs the CustomResourceDefinitions as they are checked in, and waits until the API server serves them.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "yaml";
import { KINDS } from "../../crds/kinds.ts";
import { mustAsk } from "./apiserver.ts";
import type { ApiServerAccess } from "./controlplane.ts";

const PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const WITHIN_MS = 60_000;
const LOOK_EVERY_MS = 50;

interface Definition {
  readonly metadata: { readonly name: string };
  readonly status?: { readonly conditions?: readonly Condition[] };
}

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly message?: string;
}

export async function installDefinitions(access: ApiServerAccess): Promise<void> {
  const names: string[] = [];
  for (const kind of Object.keys(KINDS)) {
    const file = join(import.meta.dirname, "..", "..", "crds", `${kind.toLowerCase()}.yaml`);
    const definition = parse(await readFile(file, "utf8")) as Definition;
    await mustAsk(access, "POST", PATH, definition);
    names.push(definition.metadata.name);
  }
  for (const name of names) await untilEstablished(access, name);
}

async function untilEstablished(access: ApiServerAccess, name: string): Promise<void> {
  const deadlineMs = performance.now() + WITHIN_MS;
  for (;;) {
    const { status } = (await mustAsk(access, "GET", `${PATH}/${name}`)) as unknown as Definition;
    const of = (type: string) => status?.conditions?.find((condition) => condition.type === type);
    const fault = of("NonStructuralSchema") ?? of("KubernetesAPIApprovalPolicyConformant");
    if (fault?.status === "True") throw new Error(`${name}: ${fault.message}`);
    if (of("Established")?.status === "True") return;
    if (performance.now() > deadlineMs) throw new Error(`${name} is not served: ${JSON.stringify(status)}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}
