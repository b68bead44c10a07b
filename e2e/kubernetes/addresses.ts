// Addresses that nothing on this machine uses: one block of 10.0.0.0/8 for a cluster, and the wire that leads there. The
// wire's name is the lock: of two runs that choose the same block, one makes it.

import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

export interface Addresses {
  /** The second number of all of them, and in the names of what is one's own. */
  readonly block: number;
  /** This machine, as the cluster sees it. */
  readonly host: string;
  readonly node: string;
  readonly podRange: string;
  readonly serviceRange: string;
  /** The API server's Service. */
  readonly firstService: string;
  /** This machine's end of the wire. */
  readonly wire: string;
}

const FIRST_BLOCK = 200;
const LAST_BLOCK = 239;

function addressesOf(block: number): Addresses {
  return {
    block,
    host: `10.${block}.0.1`,
    node: `10.${block}.0.2`,
    podRange: `10.${block}.64.0/20`,
    serviceRange: `10.${block}.128.0/20`,
    firstService: `10.${block}.128.1`,
    wire: `coffer${block}`,
  };
}

/** Lays a wire to the network of a process, on both ends with its addresses. It goes with that network. */
export async function connect(initPid: number): Promise<Addresses> {
  const used = await usedBlocks();
  for (let block = FIRST_BLOCK; block <= LAST_BLOCK; block += 1) {
    if (used.has(block)) continue;
    const addresses = addressesOf(block);
    if (!(await layWire(addresses.wire, initPid))) continue;
    await ip("addr", "add", `${addresses.host}/30`, "dev", addresses.wire);
    await ip("link", "set", addresses.wire, "up");
    await ip("route", "add", `10.${block}.0.0/16`, "via", addresses.node);
    return addresses;
  }
  throw new Error(`Every block from 10.${FIRST_BLOCK}.0.0/16 to 10.${LAST_BLOCK}.0.0/16 is in use on this machine`);
}

/** Takes the wire away where the kernel has not done so yet: a busy one lets go of a network late. */
export async function disconnect({ wire }: Addresses): Promise<void> {
  await ip("link", "delete", wire).catch((error: Error) => {
    if (!error.message.includes("Cannot find device")) throw error;
  });
}

/** Whether it is ours: false where another run was faster. */
async function layWire(name: string, initPid: number): Promise<boolean> {
  try {
    await ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", String(initPid));
    return true;
  } catch (error) {
    if (error instanceof Error && error.message.includes("File exists")) return false;
    throw error;
  }
}

async function usedBlocks(): Promise<ReadonlySet<number>> {
  const routes = JSON.parse(await ip("-json", "-4", "route", "show", "table", "all")) as { readonly dst: string }[];
  const blocks = routes.flatMap(({ dst }) => {
    const [, block, bits] = /^10\.(\d+)\.[\d.]+(?:\/(\d+))?$/.exec(dst) ?? [];
    if (block === undefined) return [];
    // A wider range has the blocks behind its first too.
    const count = 2 ** Math.max(0, 16 - Number(bits ?? 32));
    return Array.from({ length: count }, (_, at) => Number(block) + at);
  });
  return new Set(blocks);
}

async function ip(...flags: readonly string[]): Promise<string> {
  const { stdout } = await run("ip", flags).catch((cause: unknown) => {
    const errors = cause instanceof Error && "stderr" in cause ? String(cause.stderr).trim() : String(cause);
    throw new Error(`ip ${flags.join(" ")}: ${errors}`, { cause });
  });
  return stdout;
}
