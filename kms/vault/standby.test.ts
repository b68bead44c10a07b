import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CONTEXT, PATIENT } from "../contract/subject.ts";
import type { Kms } from "../kms.ts";
import { wrap } from "./contract/clients.ts";
import { INSTALL_TIMEOUT_MS, installOpenBao } from "./contract/installed.ts";
import { MEANS, makeVaultKey } from "./contract/keys.ts";
import { type OpenBao, startCluster } from "./contract/openbao.ts";
import { createVaultKms } from "./vault.ts";

describe("a cluster of three", () => {
  let nodes: readonly OpenBao[] = [];
  let kms: Kms | undefined;

  beforeAll(async () => {
    await installOpenBao();
    nodes = await startCluster(3);
    const [active, standby] = nodes as [OpenBao, OpenBao];
    const key = await makeVaultKey(active);
    kms = createVaultKms({ ...(await key.options(key.dataPlane)), address: standby.address }, MEANS);
  }, INSTALL_TIMEOUT_MS);
  afterAll(async () => {
    await kms?.close();
    for (const node of nodes) await node.stop();
  });

  function ours(): Kms {
    if (kms === undefined) throw new Error("The cluster did not start");
    return kms;
  }

  /** While the nodes elect another, which they also do when one stands still, nobody answers. */
  async function patient<Result>(call: () => Promise<Result>): Promise<Result> {
    for (;;) {
      try {
        return await call();
      } catch (error) {
        expect(error).toMatchObject({ code: "unreachable" });
        await sleep(50);
      }
    }
  }

  test("serves through a standby, and goes on through the same one after the active node has gone", async () => {
    const wrapped = await patient(() => wrap(ours()));
    const plain = await patient(() => ours().unwrap(wrapped, CONTEXT, PATIENT));
    await nodes[0]?.kill();
    await patient(() => wrap(ours()));
    expect(await patient(() => ours().unwrap(wrapped, CONTEXT, PATIENT))).toEqual(plain);
  });
});
