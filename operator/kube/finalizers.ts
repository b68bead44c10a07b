// Sets the finalizers of a resource, over exactly the state that was seen: a list is one value, and others have theirs in
// it too.

import type { Kube } from "./client.ts";
import { isKubeError } from "./failure.ts";
import type { KubeObject, ResourceType } from "./resources.ts";

/** undefined: the resource has gone, since it was the last of them. */
export async function setFinalizers<Shape extends KubeObject>(
  kube: Kube,
  type: ResourceType<Shape>,
  resource: Shape,
  finalizers: readonly string[],
  signal: AbortSignal,
): Promise<Shape | undefined> {
  const { namespace = "", name, resourceVersion } = resource.metadata;
  const patch = { metadata: { resourceVersion, finalizers } };
  try {
    return await kube.patch(type, { namespace, name }, patch, signal);
  } catch (error) {
    if (isKubeError(error, "not-found")) return undefined;
    throw error;
  }
}
