// kill -9 of the leading operator at the two moments that matter: it has written down that it wants a new version and has
// not asked for it, or it has got one and has not written that down. Whoever leads next makes exactly one of it.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { keyRingName, RING_KEY } from "../../crds/names.ts";
import { sharedCluster } from "./cluster.ts";
import { Gate, type Moment } from "./gate.ts";
import { leaderOfTwo, untilAnotherLeads } from "./leading.ts";
import { localProvider } from "./manifests.ts";
import { conditionOf, type KubeObject } from "./objects.ts";
import { scaleOperator } from "./operatorpods.ts";
import { type Refusal, refuse } from "./refusals.ts";
import { Signals } from "./signals.ts";
import { createTeam, type Team } from "./team.ts";
import { Vault } from "./vault.ts";

const READY_MS = 120_000;
const ROTATED_MS = 120_000;
const PROVIDERS = ["local", "vault"] as const;

describe("a leader that dies while it rotates", () => {
  let team: Team;
  let vault: Vault;
  let gate: Gate;
  let signals: Signals;

  beforeAll(async () => {
    team = await createTeam("dies");
    vault = await Vault.create();
    gate = await Gate.create(vault);
    await vault.letIn(team);
    // Through the gate, whoever asks.
    const throughGate = JSON.stringify(vault.provider(team)).replaceAll(vault.address, gate.address);
    await team.apply([localProvider("local"), JSON.parse(throughGate) as object]);
    signals = await Signals.create(team);
    await scaleOperator(2);
    for (const name of PROVIDERS) await team.untilReady("kmsproviders", name, READY_MS);
  });

  afterAll(async () => {
    await scaleOperator(1);
    await team?.remove();
    await gate?.close();
    await vault?.remove();
  });

  /** What keeps a rotation of the key ring at that moment: the API server refuses the step that would come next. */
  const refusals: Readonly<Record<Moment, () => Refusal>> = {
    "before the call": () => ({
      name: "ring",
      apiGroup: "",
      resource: "secrets",
      unless: `object.metadata.name != "${keyRingName("local")}"`,
      attempt: () =>
        team.kubectl(["annotate", "secret", keyRingName("local"), "--overwrite", "--dry-run=server", "attempt=1"]),
    }),
    "after the call": () => ({
      name: "status",
      apiGroup: "coffer.dev",
      resource: "kmsproviders/status",
      unless: `object.metadata.name != "local" || object.status.key.version == oldObject.status.key.version`,
      attempt: async () => {
        const patch = JSON.stringify({ status: { key: { version: "99" } } });
        const flags = ["--subresource=status", "--type=merge", "--dry-run=server", "-p", patch];
        await team.kubectl(["patch", "kmsprovider", "local", ...flags]);
      },
    }),
  };

  async function provider(name: string): Promise<KubeObject> {
    const found = await team.get("kmsproviders", name);
    if (found === undefined) throw new Error(`There is no KmsProvider ${name}`);
    return found;
  }

  async function versions(): Promise<Readonly<Record<(typeof PROVIDERS)[number], number>>> {
    const ring = JSON.parse((await team.secret(keyRingName("local")))?.[RING_KEY] ?? "{}") as { keys: unknown[] };
    const newest = await vault.bao.shell(`bao read -field=latest_version transit/keys/${team.name}`);
    return { local: ring.keys.length, vault: Number(newest) };
  }

  async function raise(keyGeneration: number): Promise<void> {
    for (const name of PROVIDERS) await team.patch("kmsproviders", name, { spec: { keyRotation: { keyGeneration } } });
  }

  async function killLeader(): Promise<void> {
    const killed = await leaderOfTwo();
    await signals.send("KILL", sharedCluster().operatorNamespace, killed.pod);
    await untilAnotherLeads(killed);
  }

  async function untilRotated(generation: number): Promise<void> {
    const isRotated = (object: KubeObject | undefined) =>
      object?.status?.key?.generation === generation &&
      object.status.rotation === undefined &&
      conditionOf(object, "RotationCurrent")?.status === "True";
    for (const name of PROVIDERS) await team.until("kmsproviders", name, "to be rotated", isRotated, ROTATED_MS);
  }

  it("before the call makes one new version in the end", async () => {
    const allow = await refuse(team, refusals["before the call"]());
    const isKept = gate.shut("before the call");
    await raise(1);
    await isKept;
    const isTold = (object: KubeObject | undefined) =>
      conditionOf(object, "RotationCurrent")?.reason === "RotationFailed";
    const failing = await team.until("kmsproviders", "local", "to tell that it fails", isTold, ROTATED_MS);
    expect(failing?.status.rotation).toMatchObject({ cause: "Generation", fromVersion: "1" });
    expect((await provider("vault")).status.rotation).toMatchObject({ cause: "Generation", fromVersion: "1" });
    expect(await versions()).toEqual({ local: 1, vault: 1 });
    await killLeader();
    gate.open();
    await allow();
    await untilRotated(1);
    expect(await versions()).toEqual({ local: 2, vault: 2 });
  });

  it("after the call makes no second one", async () => {
    const allow = await refuse(team, refusals["after the call"]());
    const isKept = gate.shut("after the call");
    await raise(2);
    await isKept;
    await team.until("secrets", keyRingName("local"), "to have its new version", hasVersions(3), ROTATED_MS);
    expect(await versions()).toEqual({ local: 3, vault: 3 });
    for (const name of PROVIDERS) {
      const { status } = await provider(name);
      expect(status.rotation).toMatchObject({ fromVersion: "2" });
      expect(status.key.version).toBe("2");
    }
    await killLeader();
    gate.open();
    await allow();
    await untilRotated(2);
    expect(await versions()).toEqual({ local: 3, vault: 3 });
  });

  it("leaves a provider that is ready, and that has told of each rotation once", async () => {
    for (const name of PROVIDERS) {
      await team.untilReady("kmsproviders", name, READY_MS);
      const isRotated = ({ regarding, reason }: KubeObject) => regarding.name === name && reason === "KeyRotated";
      const isLast = (event: KubeObject) => isRotated(event) && event["note"].startsWith("rotated to version 3");
      const rotated = (await team.untilEvent(`of the last rotation of ${name}`, isLast)).filter(isRotated);
      const versionsTold = rotated.map(({ note }) => /^rotated to version (\d+)/.exec(note)?.[1]);
      expect(versionsTold.sort()).toEqual(["2", "3"]);
      expect(rotated.filter(({ series }) => series !== undefined)).toEqual([]);
    }
  });
});

function hasVersions(count: number): (secret: KubeObject | undefined) => boolean {
  return (secret) => {
    const text = Buffer.from(secret?.data?.[RING_KEY] ?? "", "base64").toString("utf8");
    return text !== "" && (JSON.parse(text) as { keys: unknown[] }).keys.length === count;
  };
}
