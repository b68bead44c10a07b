// Tokens of ServiceAccounts in files, for logins that read them from one: requested anew when little of their time is
// left, so that whoever opens the file finds one that is good.

import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "./clock.ts";
import type { Kube } from "./kube/client.ts";
import type { ObjectName } from "./kube/resources.ts";

const TOKEN_SECONDS = 3600;
/** Of its time; less is too little. */
const LEFT = 0.5;
const FILE_MODE = 0o600;

interface Kept {
  readonly path: string;
  readonly renewAtMs: number;
}

export class Tokens {
  readonly #kube: Kube;
  readonly #clock: Clock;
  readonly #kept = new Map<string, Kept>();
  readonly #asking = new Map<string, Promise<string>>();
  #folder: Promise<string> | undefined;

  constructor(kube: Kube, clock: Clock) {
    this.#kube = kube;
    this.#clock = clock;
  }

  /** The path of the file. Fails as the request for a token does. Many who ask at a time get one token, and never a file
   *  that another is writing. */
  async file(serviceAccount: ObjectName, audience: string, signal: AbortSignal): Promise<string> {
    const { namespace, name } = serviceAccount;
    const key = `${namespace}/${name}/${audience}`;
    const kept = this.#kept.get(key);
    if (kept !== undefined && this.#clock.monotonicMs() < kept.renewAtMs) return kept.path;
    let asking = this.#asking.get(key);
    if (asking === undefined) {
      asking = this.#ask(key, serviceAccount, audience, signal).finally(() => this.#asking.delete(key));
      this.#asking.set(key, asking);
    }
    return await asking;
  }

  async #ask(key: string, serviceAccount: ObjectName, audience: string, signal: AbortSignal): Promise<string> {
    const askedMs = this.#clock.monotonicMs();
    const wanted = { audience, seconds: TOKEN_SECONDS };
    const { token, expires } = await this.#kube.requestToken(serviceAccount, wanted, signal);
    this.#folder ??= mkdtemp(join(tmpdir(), "coffer-tokens-"));
    const path = join(await this.#folder, key.replaceAll("/", "."));
    await writeFile(`${path}.new`, token, { mode: FILE_MODE });
    await rename(`${path}.new`, path);
    const lastsMs = Math.max(0, expires.getTime() - this.#clock.now().getTime());
    this.#kept.set(key, { path, renewAtMs: askedMs + lastsMs * LEFT });
    return path;
  }

  /** The ServiceAccount has gone, and its tokens with it. */
  forget({ namespace, name }: ObjectName): void {
    for (const key of this.#kept.keys()) if (key.startsWith(`${namespace}/${name}/`)) this.#kept.delete(key);
  }

  /** Takes the files away. */
  async close(): Promise<void> {
    const folder = await this.#folder?.catch(() => undefined);
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  }
}
