// Writes the status of a resource: what differs and nothing else, nothing if nothing does, and only over the state that
// the status was made from.

import type { Kube } from "./client.ts";
import type { KubeObject, ResourceType } from "./resources.ts";

/** What a JSON merge patch must say to make `before` into `after`; undefined: they are equal. A list is one value. */
export function mergePatch(before: unknown, after: unknown): { readonly patch: unknown } | undefined {
  if (!isObject(before) || !isObject(after)) {
    return canonical(before) === canonical(after) ? undefined : { patch: after ?? null };
  }
  const patch: Record<string, unknown> = {};
  for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
    if (after[name] === undefined) {
      if (before[name] !== undefined) patch[name] = null;
      continue;
    }
    const part = mergePatch(before[name], after[name]);
    if (part !== undefined) patch[name] = part.patch;
  }
  return Object.keys(patch).length === 0 ? undefined : { patch };
}

/** The resource as it is now; itself, if there was nothing to write. `conflict`: it has changed since it was read. */
export async function writeStatus<Shape extends KubeObject & { status: unknown }>(
  kube: Kube,
  type: ResourceType<Shape>,
  resource: Shape,
  status: Shape["status"],
  signal: AbortSignal,
): Promise<Shape> {
  const difference = mergePatch(resource.status, status);
  if (difference === undefined) return resource;
  const { namespace = "", name, resourceVersion } = resource.metadata;
  const patch = { metadata: { resourceVersion }, status: difference.patch };
  return await kube.patch(type, { namespace, name }, patch, signal, "status");
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Equal values print equally, whatever the order of their members; members that are undefined are absent. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, member: unknown) =>
    isObject(member)
      ? Object.fromEntries(Object.entries(member).sort(([left], [right]) => (left < right ? -1 : 1)))
      : member,
  );
}
