// A raised number rotates the key, in a key ring and in OpenBao, while clients write and read and see no error. Then the
// version before is forbidden where the key is, the pod has nothing in memory any more, and everything is still read.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { accessSecretName, keyRingName, RING_KEY } from "../../crds/names.ts";
import { restObject } from "../clients.ts";
import { type Credentials, waitFor } from "../harness.ts";
import { bucketUnder, localProvider } from "./manifests.ts";
import { conditionOf, type KubeObject } from "./objects.ts";
import { markOf, STORE_POD, untilAnotherRun } from "./storepods.ts";
import { createTeam, type Team } from "./team.ts";
import { Traffic } from "./traffic.ts";
import { Vault } from "./vault.ts";

const READY_MS = 90_000;
const ROTATED_MS = 60_000;
const SERVED_MS = 60_000;
const SERVED = 60;
const NAMES = Array.from({ length: 10 }, (_, at) => `before the rotation/${at}`);

/** KmsProvider and EncryptedBucket of one name. */
const KINDS = ["local", "vault"] as const;
type Kind = (typeof KINDS)[number];

describe("a rotation", () => {
  let team: Team;
  let vault: Vault;
  const credentials = {} as Record<Kind, Credentials>;
  const traffic = {} as Record<Kind, Traffic>;
  /** A text that the first version in OpenBao encrypted. */
  let byFirst: string;

  beforeAll(async () => {
    team = await createTeam("rotates");
    vault = await Vault.create();
    await vault.letIn(team);
    // So that every second asks for the key again.
    const cache = { ttl: "1s" };
    const providers = [localProvider("local", { cache }), vault.provider(team, { cache })];
    await team.apply([...providers, ...KINDS.map((kind) => bucketUnder(kind, kind))]);
    byFirst = await vault.bao.shell(`bao write -field=ciphertext ${transit("encrypt")} plaintext=c2VjcmV0`);
    for (const kind of KINDS) {
      await team.untilReady("encryptedbuckets", kind, READY_MS);
      credentials[kind] = await team.credentials(accessSecretName(kind, { name: "app" }));
      for (const name of NAMES) {
        const put = await restObject(credentials[kind], name, { method: "PUT", body: name });
        expect(put.ok, await put.text()).toBe(true);
      }
      traffic[kind] = new Traffic(credentials[kind]);
    }
  });

  afterAll(async () => {
    await Promise.allSettled(KINDS.map((kind) => traffic[kind]?.stop()));
    await team?.remove();
    await vault?.remove();
  });

  function transit(what: "encrypt" | "decrypt"): string {
    return `transit/${what}/${team.name} context=YQ==`;
  }

  async function forbidFirst(kind: Kind): Promise<void> {
    if (kind === "vault") {
      await vault.bao.shell(`bao write transit/keys/${team.name}/config min_decryption_version=2`);
      return;
    }
    const ring = JSON.parse((await team.secret(keyRingName(kind)))?.[RING_KEY] ?? "{}") as Ring;
    const keys = ring.keys.map((key) => (key.version === 1 ? { ...key, state: "disabled" } : key));
    const text = JSON.stringify({ ...ring, keys });
    await team.patch("secrets", keyRingName(kind), { data: { [RING_KEY]: Buffer.from(text).toString("base64") } });
  }

  it.each(KINDS)("of %s reaches the bucket's keys, and every read and write goes on", async (kind) => {
    await traffic[kind].served(SERVED);
    const beganMs = performance.now();
    await team.patch("kmsproviders", kind, { spec: { keyRotation: { keyGeneration: 1 } } });
    const has = (object: KubeObject | undefined) =>
      object?.status?.encryption?.keyVersion === "2" && conditionOf(object, "RewrapComplete")?.status === "True";
    await team.until("encryptedbuckets", kind, "to have version 2", has, ROTATED_MS);
    const tookMs = performance.now() - beganMs;
    process.stdout.write(`from a raised keyGeneration of ${kind} to a bucket of the new version: ${seconds(tookMs)}\n`);
    await traffic[kind].served(SERVED);
    expect(traffic[kind].unexplained()).toEqual([]);
    const { status } = await team.untilReady("kmsproviders", kind, READY_MS);
    expect(status).toMatchObject({ key: { version: "2", generation: 1 } });
    expect(status.rotation).toBeUndefined();
    expect(Date.parse(status.key.lastRotationTime)).toBeGreaterThan(Date.now() - 2 * ROTATED_MS);
    const isRotated = ({ regarding, reason }: KubeObject) =>
      regarding.kind === "KmsProvider" && regarding.name === kind && reason === "KeyRotated";
    const told = (await team.untilEvent(`of the rotation of ${kind}`, isRotated)).filter(isRotated);
    const backUp = kind === "local" ? `: back up Secret "${keyRingName(kind)}" again` : "";
    expect(told.map(({ note, series }) => [note, series])).toEqual([[`rotated to version 2${backUp}`, undefined]]);
  });

  it("lets the version before be forbidden while clients go on", async () => {
    for (const kind of KINDS) await forbidFirst(kind);
    await expect(vault.bao.shell(`bao write ${transit("decrypt")} ciphertext=${byFirst}`)).rejects.toThrow();
    for (const kind of KINDS) {
      await traffic[kind].served(SERVED);
      // Also proves that all that was acknowledged is there.
      await traffic[kind].stop();
      expect(traffic[kind].unexplained()).toEqual([]);
    }
  });

  it("leaves nothing that needs the version before: a new pod reads everything", async () => {
    const before = markOf(await team.get("pods", STORE_POD));
    await team.delete("pods", STORE_POD);
    await untilAnotherRun(team, before);
    for (const kind of KINDS) {
      await waitFor("the Service to lead to it", SERVED_MS, async () => {
        const answer = await restObject(credentials[kind], NAMES[0] ?? "").catch(() => undefined);
        await answer?.arrayBuffer();
        return answer !== undefined;
      });
      for (const name of NAMES) expect(await (await restObject(credentials[kind], name)).text()).toBe(name);
      const written = await restObject(credentials[kind], "after", { method: "PUT", body: "after" });
      expect(written.ok, await written.text()).toBe(true);
      await team.untilReady("kmsproviders", kind, READY_MS);
      await team.untilReady("encryptedbuckets", kind, READY_MS);
    }
  });
});

interface Ring {
  readonly keys: readonly { readonly version: number; readonly state: string }[];
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
