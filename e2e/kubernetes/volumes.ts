// What lies on a store's volume: its folder where this machine has it, else a copy of all its files.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { PORTS, storeObjectName } from "../../crds/names.ts";
import { filesWith } from "../search.ts";
import { getObject, sharedCluster } from "./cluster.ts";
import type { Team } from "./team.ts";

const DATA = "/data";

/** The files of a store's volume that hold one of the forms, by their names too, and how many files there are. */
export async function volumeFilesWith(
  team: Team,
  store: string,
  forms: readonly Buffer[],
): Promise<{ readonly found: readonly string[]; readonly files: number }> {
  const claim = await team.get("persistentvolumeclaims", storeObjectName(store));
  const name = claim?.spec?.volumeName as string | undefined;
  if (name === undefined) throw new Error(`The store ${store} has no volume`);
  const { volumes } = sharedCluster();
  if (volumes === undefined) return await copiedFilesWith(team, store, forms);
  const { local, hostPath } = (await getObject("persistentvolumes", undefined, name))?.spec ?? {};
  const path = (local ?? hostPath)?.path as string | undefined;
  if (path === undefined) throw new Error(`The volume ${name} is no folder of its node`);
  // On its node the folder of all volumes may have another name.
  return await filesWith(join(volumes, basename(path)), forms);
}

async function copiedFilesWith(team: Team, store: string, forms: readonly Buffer[]) {
  const folder = await mkdtemp(join(tmpdir(), "coffer-volume-"));
  try {
    await team.kubectl(["cp", `${podOf(store)}:${DATA}`, folder]);
    return await filesWith(folder, forms);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

export function podOf(store: string): string {
  return `${storeObjectName(store)}-0`;
}

/** What a path of the admin port of a store's pod answers, asked through the API server. */
export function askAdmin(team: Team, store: string, path: string): Promise<string> {
  const pod = `${podOf(store)}:${PORTS.admin}`;
  return team.kubectl(["get", "--raw", `/api/v1/namespaces/${team.name}/pods/${pod}/proxy${path}`]);
}
