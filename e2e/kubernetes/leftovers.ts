// What is left of our kinds when something ends: finalizers that hold, and namespaces that do not go.

import { waitFor } from "../harness.ts";
import { getObject, listObjects } from "./cluster.ts";
import { OUR_KINDS } from "./photograph.ts";

/** Pods have their time to go, and the namespace's controller looks again only after a while. */
const NAMESPACE_GONE_MS = 240_000;

/** Fails with what the namespace says of what is left in it. */
export async function untilNamespaceGone(name: string): Promise<void> {
  const look = async () => await getObject("namespaces", undefined, name);
  await waitFor(`the namespace ${name} to go`, NAMESPACE_GONE_MS, async () => (await look()) === undefined).catch(
    async (cause: unknown) => {
      const conditions = JSON.stringify((await look())?.status?.conditions);
      const held = (await finalizersIn(name)).join(", ");
      throw new Error(`The namespace ${name} does not go: ${conditions}; ${held}`, { cause });
    },
  );
}

/** Of our kinds, as "kmsproviders/local coffer.dev/in-use"; without a namespace those of all. */
export async function finalizersIn(namespace: string | undefined): Promise<readonly string[]> {
  const found: string[] = [];
  for (const kind of OUR_KINDS) {
    for (const { metadata } of await listObjects(kind, namespace)) {
      found.push(...(metadata.finalizers ?? []).map((finalizer) => `${kind}/${metadata.name} ${finalizer}`));
    }
  }
  return found;
}
