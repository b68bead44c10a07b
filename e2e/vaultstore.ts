// A store whose keys are in a Vault, set up line by line as the page of the example says; and clients that write and read
// all the while, and know what was acknowledged.

import { cp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { restObject } from "./clients.ts";
import { type Credentials, createFolders, ROOT, type StoreFolders } from "./harness.ts";
import type { OpenBao } from "./openbao.ts";

const EXAMPLE = join(ROOT, "examples", "vault");
const ADDRESS = "http://127.0.0.1:8200";

export interface Page {
  /** Starts a server to try it with. */
  readonly server: string;
  /** Makes the key, and lets Coffer use it. */
  readonly setUp: string;
  readonly start: string;
}

/** The lines of the page that a person types. */
export async function readPage(): Promise<Page> {
  const page = await readFile(join(EXAMPLE, "README.md"), "utf8");
  const blocks = [...page.matchAll(/```sh\n(.*?)```/gs)].map(([, block = ""]) => block);
  return { server: blocks[0] ?? "", setUp: blocks.slice(1, -1).join(""), start: blocks.at(-1) ?? "" };
}

/** Types the page's lines for a server and folders of the test's own. */
async function setUpByPage(bao: OpenBao, { secretsDir }: StoreFolders): Promise<void> {
  const { setUp } = await readPage();
  const lines = setUp
    .replace(/^export BAO_ADDR=.*\n/m, "")
    .replaceAll("secrets/coffer-vault", `${secretsDir}/coffer-vault`);
  await bao.shell(lines);
}

/** The example's folder, with the address of the test's own server. */
export async function createVaultFolders(bao: OpenBao): Promise<StoreFolders> {
  const folders = await createFolders();
  for (const file of ["kmsprovider.yaml", "encryptedbucket.yaml"]) await rm(join(folders.configDir, file));
  await cp(EXAMPLE, folders.configDir, { recursive: true });
  await editFile(join(folders.configDir, "kmsprovider.yaml"), (yaml) => yaml.replace(ADDRESS, bao.address));
  await setUpByPage(bao, folders);
  return folders;
}

/** The quickstart's folder, and beside its key ring the example's provider, in vault.yaml. */
export async function createFoldersWithBoth(bao: OpenBao): Promise<StoreFolders> {
  const folders = await createFolders();
  const path = join(folders.configDir, "vault.yaml");
  await cp(join(EXAMPLE, "kmsprovider.yaml"), path);
  await editFile(path, (yaml) => yaml.replace(ADDRESS, bao.address));
  await setUpByPage(bao, folders);
  return folders;
}

export async function editFile(path: string, change: (text: string) => string): Promise<void> {
  const before = await readFile(path, "utf8");
  const after = change(before);
  if (after === before) throw new Error(`${path} has nothing to edit`);
  await writeFile(path, after);
}

/** One answer that was not 200. */
export interface Refused {
  readonly atMs: number;
  readonly tookMs: number;
  readonly status: number;
  readonly retryAfter: string | null;
  readonly body: string;
}

const CLIENTS = 8;
const PAUSE_MS = 10;
/** A little less than the store waits for a Vault that does not answer. */
const VAULT_WAITED_MS = 1_500;
/** Who waits for the same answer of Vault, since when ever, hears of it at the same time; then it is not asked for a while. */
const EXPLAINED_MS = 8_000;
const FOUND_WITHIN_MS = 60_000;

/** Clients that put and get small objects, each under names of its own, until they are told to stop. */
export class Clients {
  readonly #credentials: Credentials;
  readonly #acknowledged: string[] = [];
  readonly #working: Promise<void>;
  #isStopped = false;
  #servedAtMs = 0;
  readonly refused: Refused[] = [];

  constructor(credentials: Credentials) {
    this.#credentials = credentials;
    this.#working = Promise.all(Array.from({ length: CLIENTS }, (_, at) => this.#work(at))).then(() => undefined);
    // It is awaited by `stop`.
    this.#working.catch(() => undefined);
  }

  /** When the last request was served. */
  get servedAtMs(): number {
    return this.#servedAtMs;
  }

  get acknowledged(): number {
    return this.#acknowledged.length;
  }

  /** Refusals but those that a Vault explains which stood still for a while, as one may on a busy machine. */
  unexplained(): readonly Refused[] {
    const waited = this.refused.filter(({ status, tookMs }) => status === 503 && tookMs >= VAULT_WAITED_MS);
    return this.refused.filter(
      ({ status, atMs }) => status !== 503 || !waited.some((one) => Math.abs(one.atMs - atMs) < EXPLAINED_MS),
    );
  }

  async #work(client: number): Promise<void> {
    for (let at = 0; !this.#isStopped; at += 1) {
      const name = `client ${client}/${at}`;
      if (await this.#request(name, { method: "PUT", body: name })) this.#acknowledged.push(name);
      const any = this.#acknowledged[(at * 7919) % Math.max(1, this.#acknowledged.length)];
      if (any !== undefined) await this.#request(any, {}, any);
      await sleep(PAUSE_MS);
    }
  }

  /** Whether it was served. Throws for a body that is not the one that was put. */
  async #request(name: string, request: RequestInit, expected?: string): Promise<boolean> {
    const beganMs = performance.now();
    const answer = await restObject(this.#credentials, name, request as { headers?: Record<string, string> });
    const body = await answer.text();
    const atMs = performance.now();
    if (answer.ok) {
      if (expected !== undefined && body !== expected) throw new Error(`"${name}" gave ${JSON.stringify(body)}`);
      this.#servedAtMs = atMs;
      return true;
    }
    const retryAfter = answer.headers.get("retry-after");
    this.refused.push({ atMs, tookMs: atMs - beganMs, status: answer.status, retryAfter, body });
    return false;
  }

  /** Ends them, and proves that all that was acknowledged is there. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#working;
    const endMs = performance.now() + FOUND_WITHIN_MS;
    for (const name of this.#acknowledged) {
      let answer = await restObject(this.#credentials, name);
      while (answer.status === 503 && performance.now() < endMs) {
        await answer.arrayBuffer();
        await sleep(PAUSE_MS);
        answer = await restObject(this.#credentials, name);
      }
      const body = await answer.text();
      if (body !== name) throw new Error(`"${name}" was acknowledged and gives ${answer.status} ${body}`);
    }
  }
}
