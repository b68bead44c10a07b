// A namespace that is being deleted: its objects go in any order, and what goes first is nobody's mistake.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { mustAsk, sharedApiServer } from "../e2e/cluster/apiserver.ts";
import { RESOURCES } from "./kube/resources.ts";
import { eventually } from "./kube/world.ts";
import { createOperatorWorld, type OperatorWorld } from "./world.ts";

let world: OperatorWorld;

beforeAll(async () => {
  world = await createOperatorWorld("ending");
});

afterAll(async () => {
  expect(world.operator.proxy.violations).toEqual([]);
  await world.close();
});

/** How often the operator has asked whether the namespace ends. */
function questions(): number {
  return world.operator.proxy.seen.filter(({ method, query }) => method === "POST" && query.has("dryRun")).length;
}

describe("a namespace that ends", () => {
  it("accuses nobody of a key ring that went before its KmsProvider", async () => {
    await world.apply(RESOURCES.kmsProviders, "local", { type: "Local" });
    await world.untilReady(RESOURCES.kmsProviders, "local");
    const { status } = (await world.find(RESOURCES.kmsProviders, "local")) ?? {};
    expect(questions()).toBe(0);
    await mustAsk(sharedApiServer(), "DELETE", `/api/v1/namespaces/${world.namespace}`);
    await world.remove(RESOURCES.secrets, "local-key-ring");
    const once = await eventually(questions, (asked) => asked > 0);
    // It is asked while a provider is ready, and so a second time only if nothing was told after the first.
    const annotations = { "coffer.dev/reconcile-requested-at": "now" };
    await world.apply(RESOURCES.kmsProviders, "local", { type: "Local" }, { annotations });
    await eventually(questions, (asked) => asked > once);
    expect((await world.find(RESOURCES.kmsProviders, "local"))?.status).toEqual(status);
    await world.remove(RESOURCES.kmsProviders, "local");
    await world.untilGone(RESOURCES.kmsProviders, "local");
  });
});
