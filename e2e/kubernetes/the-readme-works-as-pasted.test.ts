// The lines of the README for a cluster, pasted into a shell, as far as they do not make the cluster or install the
// operator: that has been done.

import { copyFile, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { runShell } from "../clients.ts";
import { ROOT } from "../harness.ts";
import { freePort } from "../ports.ts";
import { sharedCluster } from "./cluster.ts";
import { createTeam, type Team } from "./team.ts";

const MADE_ALREADY = /^(kind|docker|helm) /;

let team: Team;
let folder: string;

beforeAll(async () => {
  team = await createTeam("readme");
  folder = await mkdtemp(join(tmpdir(), "coffer-readme-"));
});

afterAll(async () => {
  await team?.remove();
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
});

/** Of the section on clusters, in their order. */
async function pastedLines(): Promise<readonly string[]> {
  const readme = await readFile(join(ROOT, "README.md"), "utf8");
  const section = readme.split(/^## /m).find((part) => part.startsWith("On a cluster\n")) ?? "";
  const blocks = [...section.matchAll(/```sh\n([^`]*)```/g)].map(([, block = ""]) => block);
  return blocks.flatMap((block) => block.trimEnd().split("\n"));
}

it("from a key and a bucket to an object, and a rotated key", async () => {
  const { kubeconfig, kubectl } = sharedCluster();
  const own = join(folder, "kubeconfig");
  await copyFile(kubeconfig, own);
  const lines = await pastedLines();
  expect(lines.filter((line) => MADE_ALREADY.test(line)).length).toBe(3);
  // The port may be somebody else's here.
  const port = String(await freePort());
  const pasted = lines
    .filter((line) => !MADE_ALREADY.test(line))
    .map((line) => line.replace("service/coffer-default 8080", `service/coffer-default ${port}:8080`))
    .map((line) => line.replace("localhost:8080", `localhost:${port}`));
  const script = [
    "set -e",
    "trap 'kill $(jobs -p)' EXIT",
    `export KUBECONFIG='${own}' PATH='${dirname(kubectl)}':"$PATH"`,
    `kubectl config set-context --current --namespace='${team.name}'`,
    ...pasted,
  ].join("\n");
  const { code, output, errors } = await runShell(script, ROOT);
  expect({ code, errors }).toMatchObject({ code: 0 });
  expect(output).toContain("kmsprovider.coffer.dev/local condition met");
  expect(output).toContain("encryptedbucket.coffer.dev/photos condition met");
  expect(output).toContain("\n# Coffer\n");
});
