// A data plane without an operator and without `npm start`, in a folder of its own: its process, what it printed, and
// who administers it.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { leash } from "./cluster/leash.ts";
import { type Credentials, ROOT, readCredentials, waitFor } from "./harness.ts";
import { freePorts } from "./ports.ts";

const READY_MS = 120_000;
const ACTS_MS = 60_000;

export interface Job {
  readonly bucket: string;
  readonly wish: string;
  readonly state: string;
  readonly oldestKeyVersion?: string;
  readonly counts: { readonly rewrapped: number };
}

type Variables = Readonly<Record<string, string>>;

export class AloneDataPlane {
  readonly #home: string;
  readonly #ports: readonly number[];
  #child: ChildProcess | undefined;
  #output = "";

  private constructor(home: string, ports: readonly number[]) {
    this.#home = home;
    this.#ports = ports;
  }

  /** Starts nothing yet. */
  static async create(home: string): Promise<AloneDataPlane> {
    return new AloneDataPlane(home, await freePorts(3));
  }

  /** What it printed since its last start, both streams. */
  get output(): string {
    return this.#output;
  }

  launch(environment: Variables): ChildProcess {
    this.#output = "";
    const child = spawn(process.execPath, [join(ROOT, "dataplane", "main.ts")], {
      cwd: this.#home,
      env: {
        PATH: process.env["PATH"],
        COFFER_S3_PORT: String(this.#ports[0]),
        COFFER_REST_PORT: String(this.#ports[1]),
        COFFER_ADMIN_PORT: String(this.#ports[2]),
        ...environment,
      },
    });
    leash(child);
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.#output += text;
      });
    }
    this.#child = child;
    return child;
  }

  async start(environment: Variables): Promise<void> {
    const child = this.launch(environment);
    await waitFor("the data plane to serve", READY_MS, async () => {
      if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}:\n${this.#output}`);
      return (await answers(this.#url(0))) && (await answers(this.#url(1)));
    });
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** Its exit code; null: the signal ended it, or nothing ran. */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return null;
    const gone = once(child, "exit");
    child.kill(signal);
    const [code] = (await gone) as [number | null];
    return code;
  }

  credentials(name = "admin"): Promise<Credentials> {
    return readCredentials(join(this.#home, "secrets", "access", `${name}.env`));
  }

  /** By the administrator, unless told otherwise. */
  async rest(path: string, init: RequestInit = {}, name = "admin"): Promise<Response> {
    const { token, restUrl } = await this.credentials(name);
    return fetch(`${restUrl}/api/v1/${path}`, { ...init, headers: { Authorization: `Bearer ${token}` } });
  }

  admin(path: string): Promise<Response> {
    return fetch(this.#url(2) + path);
  }

  /** Once it is done. */
  async jobOf(bucket: string, wish: string): Promise<Job> {
    let found: Job | undefined;
    await waitFor(`the rewrap ${wish}`, ACTS_MS, async () => {
      const { jobs } = (await (await this.admin("/jobs")).json()) as { jobs: Job[] };
      found = jobs.find((job) => job.bucket === bucket && job.wish === wish && job.state === "done");
      return found !== undefined;
    });
    return found as Job;
  }

  #url(at: number): string {
    return `http://127.0.0.1:${this.#ports[at]}`;
  }
}

function answers(url: string): Promise<boolean> {
  return fetch(url).then(
    async (answer) => {
      await answer.arrayBuffer();
      return true;
    },
    () => false,
  );
}
