// A Kube for as long as somebody leads: a write that is asked for later, by work that was asleep when the lease ran out,
// is refused here instead of reaching the API server. Reads go through.

import type { Kube } from "./client.ts";
import { KubeError } from "./failure.ts";
import type { Leadership } from "./lease.ts";

/** What must be left of the lease, so that a write arrives before another leads. */
const MARGIN_MS = 1000;

export function fenced(kube: Kube, leadership: Leadership): Kube {
  function mayWrite(): void {
    leadership.signal.throwIfAborted();
    if (leadership.remainingMs() < MARGIN_MS)
      throw new KubeError("denied", "The lease is running out: nothing is written");
  }

  return {
    read: (type, name, signal) => kube.read(type, name, signal),
    page: (type, scope, page, signal) => kube.page(type, scope, page, signal),
    watch: (type, scope, from, signal) => kube.watch(type, scope, from, signal),
    async create(type, object, signal) {
      mayWrite();
      return await kube.create(type, object, signal);
    },
    async apply(type, object, options, signal) {
      mayWrite();
      return await kube.apply(type, object, options, signal);
    },
    async replace(type, object, signal) {
      mayWrite();
      return await kube.replace(type, object, signal);
    },
    async patch(type, name, patch, signal, subresource) {
      mayWrite();
      return await kube.patch(type, name, patch, signal, subresource);
    },
    async remove(type, name, options, signal) {
      mayWrite();
      return await kube.remove(type, name, options, signal);
    },
    requestToken: (serviceAccount, wanted, signal) => kube.requestToken(serviceAccount, wanted, signal),
    isEnding: (namespace, signal) => kube.isEnding(namespace, signal),
  };
}
