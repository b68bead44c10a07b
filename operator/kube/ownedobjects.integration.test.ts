// Objects that are kept, against a real API server: whatever comes between an apply and its answer.

import { expect, it } from "vitest";
import { systemClock } from "../clock.ts";
import { OwnedObjects } from "./ownedobjects.ts";
import type { KubeObject } from "./resources.ts";
import { ScopedWatch } from "./scopedwatch.ts";
import { CONFIG_MAPS_WHOLE, configMap, createKubeWorld } from "./world.ts";

const never = new AbortController().signal;
const isOurs = () => true;

it("an object that was removed before the answer to its apply came is due again", async () => {
  const world = await createKubeWorld("owned");
  const { namespace } = world;
  const stopping = new AbortController();
  const type = CONFIG_MAPS_WHOLE;
  const watch = new ScopedWatch<KubeObject>(
    { kube: world.kube, type, clock: systemClock, report: () => undefined },
    stopping.signal,
  );
  const removed = Promise.withResolvers<void>();
  const kube: typeof world.kube = {
    ...world.kube,
    async apply(...asked) {
      const answer = await world.kube.apply(...asked);
      await world.other.remove(type, { namespace, name: "kept" }, {}, never);
      await removed.promise;
      return answer;
    },
  };
  const owned = new OwnedObjects(kube, [{ type, watch }]);
  watch.listen(({ kind }) => {
    if (kind === "removed") removed.resolve();
  });
  watch.open(namespace);
  await watch.whenSynced(never);
  const wanted = configMap(namespace, "kept", { a: "1" });
  await owned.apply({ type, watch }, wanted, isOurs, never);
  expect(owned.look({ type, watch }, wanted, isOurs)).toBe("due");
  stopping.abort(new Error("done"));
  await watch.ended();
  await world.close();
});
