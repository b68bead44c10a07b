// A real OpenBao with its storage on disk, so that it can be sealed, paused, killed and started again, and still has what
// it had. Beside it the command line that a person uses.

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { promisify } from "node:util";
import { sayAside } from "./clients.ts";
import { leash } from "./cluster/leash.ts";
import { ROOT, waitFor } from "./harness.ts";
import { freePort } from "./ports.ts";
import { twice } from "./twice.ts";

const run = promisify(execFile);

/** What the unit tests of the Vault provider bring, and where they put it. */
const INSTALLER = join(ROOT, "kms", "vault", "contract", "installed.ts");
const INSTALL_MS = 600_000;
/** So long nothing is said: it is there already. */
const QUIET_MS = 2_000;
const READY_MS = 90_000;

/** The path of the program. Says what takes long. */
export async function prepareOpenBao(say: (line: string) => void): Promise<string> {
  const saying = setTimeout(() => say("Bringing OpenBao into the cache folder (once)."), QUIET_MS);
  try {
    const bring = () => run(process.execPath, [INSTALLER], { timeout: INSTALL_MS });
    const { stdout } = await twice("Bringing OpenBao", say, bring);
    return stdout.trim();
  } catch (error) {
    const why = /Error: (.*)/.exec((error as { stderr?: string }).stderr ?? "")?.[1] ?? "its installer failed";
    throw new Error(`OpenBao cannot be brought: ${why}`, { cause: error });
  } finally {
    clearTimeout(saying);
  }
}

interface Secrets {
  readonly unsealKey: string;
  readonly rootToken: string;
}

export class OpenBao {
  readonly address: string;
  readonly #program: string;
  readonly #folder: string;
  #server: ChildProcess | undefined;
  #secrets: Secrets | undefined;

  private constructor(program: string, folder: string, address: string) {
    this.#program = program;
    this.#folder = folder;
    this.address = address;
  }

  /** Started, initialized and unsealed, on a port of its own; `host` is the address that it listens on. */
  static async create(host = "127.0.0.1"): Promise<OpenBao> {
    const program = await prepareOpenBao(sayAside);
    const [port, clusterPort] = [await freePort(host), await freePort()];
    const folder = await mkdtemp(join(tmpdir(), "coffer-e2e-openbao-"));
    const bao = new OpenBao(program, folder, `http://${host}:${port}`);
    const config = {
      storage: { raft: { path: folder, node_id: "one", performance_multiplier: 1 } },
      listener: {
        tcp: { address: `${host}:${port}`, cluster_address: `127.0.0.1:${clusterPort}`, tls_disable: true },
      },
      api_addr: bao.address,
      cluster_addr: `https://127.0.0.1:${clusterPort}`,
    };
    await writeFile(join(folder, "config.json"), JSON.stringify(config));
    await bao.start();
    return bao;
  }

  /** Also after a kill: with all that it had. */
  async start(): Promise<void> {
    const config = join(this.#folder, "config.json");
    const server = spawn(this.#program, ["server", `-config=${config}`], {
      env: { HOME: this.#folder },
      stdio: "ignore",
    });
    leash(server);
    this.#server = server;
    await waitFor("OpenBao to listen", READY_MS, async () => {
      if (server.exitCode !== null) throw new Error(`OpenBao ended with ${server.exitCode}`);
      return (await this.#health()) !== undefined;
    });
    this.#secrets ??= await this.#initialize();
    await this.unseal();
  }

  async #initialize(): Promise<Secrets> {
    const answer = await this.#ask("POST", "sys/init", { secret_shares: 1, secret_threshold: 1 });
    const made = answer as { keys_base64: string[]; root_token: string };
    return { unsealKey: made.keys_base64[0] ?? "", rootToken: made.root_token };
  }

  async seal(): Promise<void> {
    await this.shell("bao operator seal");
  }

  async unseal(): Promise<void> {
    await this.#ask("POST", "sys/unseal", { key: this.#secrets?.unsealKey });
    await waitFor("OpenBao to be unsealed", READY_MS, async () => (await this.#health()) === 200);
  }

  pause(): void {
    this.#server?.kill("SIGSTOP");
  }

  resume(): void {
    this.#server?.kill("SIGCONT");
  }

  async kill(): Promise<void> {
    const server = this.#server;
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return;
    const gone = once(server, "exit");
    server.kill("SIGKILL");
    await gone;
  }

  async remove(): Promise<void> {
    await this.kill();
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** Lines as a person types them who is root, in the project's folder. What they print; fails if one of them does. */
  async shell(lines: string): Promise<string> {
    const { stdout } = await run("bash", ["-ec", lines], { cwd: ROOT, env: this.environment() });
    return stdout;
  }

  environment(): NodeJS.ProcessEnv {
    const path = [dirname(this.#program), process.env["PATH"] ?? ""].join(delimiter);
    return { PATH: path, HOME: this.#folder, BAO_ADDR: this.address, BAO_TOKEN: this.#secrets?.rootToken ?? "" };
  }

  /** undefined: nothing listens there. */
  async #health(): Promise<number | undefined> {
    const answer = await fetch(`${this.address}/v1/sys/health`).catch(() => undefined);
    await answer?.arrayBuffer();
    return answer?.status;
  }

  async #ask(method: string, path: string, json: object): Promise<unknown> {
    const answer = await fetch(`${this.address}/v1/${path}`, { method, body: JSON.stringify(json) });
    if (!answer.ok) throw new Error(`OpenBao answered ${answer.status} to ${method} ${path}`);
    return await answer.json();
  }
}
