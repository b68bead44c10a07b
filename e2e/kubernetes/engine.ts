// An engine that builds images: the Docker that answers here, else Debian's, started for the one build, in namespaces of
// its own. Its network is this machine's, so that a build reaches whatever this machine reaches.

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { waitFor } from "../harness.ts";
import { machineFolder } from "../temporary.ts";
import { removeCgroup } from "./cgroups.ts";
import { prepareImagePackages } from "./packages.ts";
import { errorsOf, lastLines, Sandbox } from "./sandbox.ts";

const run = promisify(execFile);

export interface Engine {
  /** For people. */
  readonly name: string;
  /** Runs `docker` to its end; what it prints. */
  docker(...flags: readonly string[]): Promise<string>;
}

const ANSWER_MS = 5_000;
const START_MS = 120_000;
const BUILD_MS = 1_200_000;
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

/** `store` keeps the layers of an engine of one's own from build to build; one at a time may use it. */
export async function withEngine<Result>(
  store: string,
  say: (line: string) => void,
  use: (engine: Engine) => Promise<Result>,
): Promise<Result> {
  const running = await runningEngine();
  if (running !== undefined) return await use(running);
  return await withOwnEngine(store, say, use);
}

/** The one that a user would have, if it answers. */
export async function runningEngine(): Promise<Engine | undefined> {
  const docker = client("docker", {});
  const settings = { timeout: ANSWER_MS };
  const version = await run("docker", ["version", "--format", "{{.Server.Version}}"], settings).then(
    ({ stdout }) => stdout.trim(),
    () => "",
  );
  return version === "" ? undefined : { name: `Docker ${version}`, docker };
}

export async function hasImage({ docker }: Engine, name: string): Promise<boolean> {
  return await docker("image", "inspect", name).then(
    () => true,
    () => false,
  );
}

async function withOwnEngine<Result>(
  store: string,
  say: (line: string) => void,
  use: (engine: Engine) => Promise<Result>,
): Promise<Result> {
  if (process.platform !== "linux" || process.getuid?.() !== 0) {
    throw new Error("No Docker engine answers, and none can be started: that needs root on Linux. Start one.");
  }
  await prepareImagePackages(say);
  // One name for one store, so that what a killed run left is found; a short path: its socket's is limited to 108 letters.
  const name = `coffer-docker-${createHash("sha256").update(store).digest("hex").slice(0, 8)}`;
  const folder = join(machineFolder(), name);
  await clear(folder);
  const sandbox = await Sandbox.create({ folder, ownNetwork: false, stays: false });
  try {
    await sandbox.run(["bash", "-ec", "mount --make-rshared /; mount -t tmpfs tmpfs /run"]);
    const socket = join(folder, "docker.sock");
    sandbox.start("dockerd", ["dockerd", ...daemonFlags(store, socket, name)]);
    const docker = client("docker", { DOCKER_HOST: `unix://${socket}`, DOCKER_BUILDKIT: "0" });
    let version = "";
    await waitFor("the Docker engine", START_MS, async () => {
      await sandbox.mustRun();
      version = await docker("version", "--format", "{{.Server.Version}}").catch(() => "");
      return version !== "";
    });
    return await use({ name: `Docker ${version.trim()}, started for it`, docker });
  } catch (error) {
    const log = await lastLines(join(folder, "logs", "dockerd.log"));
    throw new Error(`${errorsOf(error)}\nThe engine said last:\n${log}`, { cause: error });
  } finally {
    await sandbox.close();
    await clear(folder);
  }
}

async function clear(folder: string): Promise<void> {
  await removeCgroup(basename(folder));
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
}

/** It leaves the network of this machine as it is: no bridge, no rules. */
function daemonFlags(store: string, socket: string, cgroup: string): string[] {
  return [
    `--host=unix://${socket}`,
    `--data-root=${store}`,
    "--exec-root=/run/docker",
    "--pidfile=/run/docker.pid",
    `--cgroup-parent=/${cgroup}`,
    "--bridge=none",
    "--iptables=false",
    "--ip6tables=false",
    "--ip-masq=false",
    "--ip-forward=false",
  ];
}

function client(program: string, environment: Readonly<Record<string, string>>): Engine["docker"] {
  return async (...flags) => {
    const env = { ...process.env, ...environment };
    const settings = { env, timeout: BUILD_MS, maxBuffer: OUTPUT_BYTES_MAX };
    const { stdout } = await run(program, flags, settings).catch((cause: unknown) => {
      throw new Error(`docker ${flags[0]} failed: ${errorsOf(cause)}`, { cause });
    });
    return stdout;
  };
}
