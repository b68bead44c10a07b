// Whether a namespace is being deleted, as the API server lets whoever may make something in it know.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freshNamespace, mustAsk, sharedApiServer } from "../../e2e/cluster/apiserver.ts";
import { RESOURCES } from "./resources.ts";
import { createKubeWorld, type KubeWorld } from "./world.ts";

const never = new AbortController().signal;
let world: KubeWorld;

beforeAll(async () => {
  world = await createKubeWorld("ending");
});

afterAll(async () => {
  await world?.close();
});

describe("a namespace", () => {
  it("that ends is told from one that does not, and nothing is made in it", async () => {
    const { kube } = world;
    const namespace = await freshNamespace(sharedApiServer(), "ends");
    expect(await kube.isEnding(namespace, never)).toBe(false);
    const { items } = await kube.page(RESOURCES.secrets, { namespace }, { limit: 9, after: undefined }, never);
    expect(items).toEqual([]);
    // Nobody is there who would clear it: it goes on ending.
    await mustAsk(sharedApiServer(), "DELETE", `/api/v1/namespaces/${namespace}`);
    expect(await kube.isEnding(namespace, never)).toBe(true);
  });

  it("that refuses for another reason does not end", async () => {
    const undo = world.proxy.fault(() => ({ kind: "answer", status: 403, reason: "Forbidden" }));
    expect(await world.kube.isEnding(world.namespace, never)).toBe(false);
    undo();
  });

  it("that says nothing is not known to end", async () => {
    const undo = world.proxy.fault(() => ({ kind: "answer", status: 503, reason: "ServiceUnavailable" }));
    await expect(world.kube.isEnding(world.namespace, never)).rejects.toMatchObject({ code: "server" });
    undo();
  });
});
