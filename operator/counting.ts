// Counts what the API server is asked: around the connection every answer, around the client lists and watches.

import type { Kube } from "./kube/client.ts";
import type { Connection } from "./kube/connection.ts";
import type { Metrics } from "./metrics.ts";

const NO_ANSWER = "<error>";

export function countedConnection(connection: Connection, metrics: Metrics): Connection {
  return {
    async send(request, signal) {
      try {
        const answer = await connection.send(request, signal);
        metrics.asked(request.method, String(answer.statusCode ?? NO_ANSWER));
        return answer;
      } catch (error) {
        if (!signal.aborted) metrics.asked(request.method, NO_ANSWER);
        throw error;
      }
    },
    close: () => connection.close(),
  };
}

export function countedKube(kube: Kube, metrics: Metrics): Kube {
  return {
    ...kube,
    async page(type, scope, page, signal) {
      if (page.after === undefined) metrics.listed(type.plural);
      return await kube.page(type, scope, page, signal);
    },
    watch(type, scope, from, signal) {
      metrics.watched(type.plural);
      return kube.watch(type, scope, from, signal);
    },
  };
}
