// The key ring is the only thing that opens what was stored. It stays when its KmsProvider goes, is taken up again when
// that comes back, and when it was lost itself, is restored from a backup as docs/key-ring.md says.

import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ANNOTATIONS, keyRingName } from "../../crds/names.ts";
import { restObject } from "../clients.ts";
import { type Credentials, ROOT } from "../harness.ts";
import { sharedCluster } from "./cluster.ts";
import { conditionOf, type KubeObject } from "./objects.ts";
import { createTeam, type Team } from "./team.ts";

const run = promisify(execFile);

const READY_MS = 90_000;
const TOLD_MS = 90_000;
const QUICKSTART = join(ROOT, "examples", "quickstart");
const RING = keyRingName("local");

describe("a key ring", () => {
  let team: Team;
  /** Where a person types. */
  let folder: string;
  let ring: KubeObject;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "coffer-e2e-ring-"));
    team = await createTeam("ring");
    await team.apply(QUICKSTART);
    await write(await ready(), "first");
    ring = await secretOfRing();
  });

  afterAll(async () => {
    await team?.remove();
    await rm(folder, { recursive: true, force: true });
  });

  async function ready(): Promise<Credentials> {
    await team.untilReady("kmsproviders", "local", READY_MS);
    await team.untilReady("encryptedbuckets", "photos", READY_MS);
    return await team.credentials("photos-app");
  }

  async function write(credentials: Credentials, name: string): Promise<void> {
    const answer = await restObject(credentials, name, { method: "PUT", body: name });
    expect(answer.ok, await answer.text()).toBe(true);
  }

  async function expectReadable(credentials: Credentials, names: readonly string[]): Promise<void> {
    for (const name of names) {
      const answer = await restObject(credentials, name);
      expect([answer.status, await answer.text()]).toEqual([200, name]);
    }
  }

  async function secretOfRing(): Promise<KubeObject> {
    const secret = await team.get("secrets", RING);
    if (secret === undefined) throw new Error(`There is no Secret ${RING}`);
    return secret;
  }

  /** The lines of the page below a heading, one block after the other, as a person of this team types them. */
  async function blocksBelow(heading: string): Promise<readonly string[]> {
    const page = await readFile(join(ROOT, "docs", "key-ring.md"), "utf8");
    const [, section = ""] = page.split(`\n## ${heading}\n`);
    const [text = ""] = section.split("\n## ");
    return [...text.matchAll(/```sh\n(.*?)```/gs)].map(([, block = ""]) =>
      block.replaceAll("-n team", `-n ${team.name}`),
    );
  }

  async function type(lines: string): Promise<string> {
    const { kubectl, kubeconfig } = sharedCluster();
    const path = [dirname(kubectl), dirname(process.execPath), process.env["PATH"] ?? ""].join(delimiter);
    const settings = { cwd: folder, env: { PATH: path, HOME: folder, KUBECONFIG: kubeconfig } };
    return (await run("bash", ["-ec", lines], settings)).stdout;
  }

  it("is nobody's to collect, and says what to back up", async () => {
    expect(ring.metadata.ownerReferences).toBeUndefined();
    const provider = await team.untilReady("kmsproviders", "local", READY_MS);
    expect(conditionOf(provider, "KeyUsable")?.message).toContain(`Back up Secret "${RING}"`);
  });

  it("stays when its provider goes, and the same one serves the provider that comes back", async () => {
    await team.delete("encryptedbuckets", "photos");
    await team.untilGone("encryptedbuckets", "photos", TOLD_MS);
    await team.delete("kmsproviders", "local");
    await team.untilGone("kmsproviders", "local", TOLD_MS);
    expect((await secretOfRing()).metadata.resourceVersion).toBe(ring.metadata.resourceVersion);
    await team.apply(QUICKSTART);
    const credentials = await ready();
    await expectReadable(credentials, ["first"]);
    await write(credentials, "second");
    expect((await secretOfRing()).metadata.resourceVersion).toBe(ring.metadata.resourceVersion);
  });

  it("that was lost is told, with what to restore, is never made anew, and running pods go on", async () => {
    const [backUp = "", check = ""] = await blocksBelow("Back it up");
    await type(backUp);
    const { status } = await team.untilReady("kmsproviders", "local", READY_MS);
    expect((await type(check)).trim()).toBe(`${status.key.id} ${status.key.version}`);
    await team.delete("secrets", RING);
    const provider = await team.untilCondition("kmsproviders", "local", "Ready", "False", TOLD_MS);
    const told = conditionOf(provider, "KeyUsable");
    expect(told?.reason).toBe("KeyRingLost");
    expect(told?.message).toContain(`Secret "${RING}" has gone`);
    expect(told?.message).toContain(status.key.id);
    expect(conditionOf(provider, "Stalled")).toBeUndefined();
    const bucket = await team.untilCondition("encryptedbuckets", "photos", "Ready", "False", TOLD_MS);
    expect(conditionOf(bucket, "Ready")?.message).toContain(`Secret "${RING}" has gone`);
    const credentials = await team.credentials("photos-app");
    await write(credentials, "third");
    await expectReadable(credentials, ["first", "second", "third"]);
    const isLost = ({ regarding, reason }: KubeObject) => regarding.kind === "KmsProvider" && reason === "KeyRingLost";
    await team.untilEvent("of the key ring that was lost", isLost);
    // Seen by the operator, and left as it is.
    await team.patch("kmsproviders", "local", {
      metadata: { annotations: { [ANNOTATIONS.reconcileRequestedAt]: "once more" } },
    });
    const isHandled = (object: KubeObject | undefined) => object?.status?.lastHandledReconcileAt === "once more";
    await team.until("kmsproviders", "local", "to be looked at", isHandled, TOLD_MS);
    expect(await team.get("secrets", RING)).toBeUndefined();
  });

  it("that is restored is taken up within seconds, and everything is read", async () => {
    const [restore = ""] = await blocksBelow("Restore a ring that was lost");
    const beganMs = performance.now();
    await type(restore);
    const credentials = await ready();
    process.stdout.write(`from a restored key ring to Ready: ${((performance.now() - beganMs) / 1000).toFixed(1)} s\n`);
    expect((await secretOfRing()).data).toEqual(ring.data);
    await expectReadable(credentials, ["first", "second", "third"]);
    await write(credentials, "fourth");
  });

  it("without a backup is found in the configuration of a store that uses it", async () => {
    await team.delete("secrets", RING);
    await team.untilCondition("kmsproviders", "local", "Ready", "False", TOLD_MS);
    await rm(join(folder, "ring.json"));
    const [restore = "", find = ""] = await blocksBelow("Restore a ring that was lost");
    await type(find);
    await type(restore);
    const credentials = await ready();
    await expectReadable(credentials, ["first", "second", "third", "fourth"]);
  });
});
