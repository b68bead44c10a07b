// Clients that put, overwrite, delete and read all the while, with nobody who tries again for them: it is known what each
// request met, and in the end every name must hold what was acknowledged.

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { DeleteObjectCommand, GetObjectCommand, NoSuchKey, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { type Credentials, waitFor } from "../harness.ts";
import { bodyOf, type Seed } from "../load.ts";
import { Register } from "../register.ts";

const CLIENTS = 3;
const NAMES = 4;
/** Not a multiple of the names, so that each name meets each of them. */
const STEPS = ["small", "read", "large", "read", "small", "read", "delete", "read", "large"] as const;
const SMALL_BYTES = 2_000;
/** A file of its own on the volume. */
const LARGE_BYTES = 150_000;
const PAUSE_MS = 20;
/** A connection to what has gone without a word says nothing for ever. */
const REQUEST_MS = 20_000;
const SERVED_MS = 120_000;
/** A little less than a store waits for a Vault that does not answer. */
const VAULT_WAITED_MS = 1_500;
/** Who waits for the same answer of Vault, since when ever, hears of it at the same time; then it is not asked for a while. */
const EXPLAINED_MS = 8_000;
/** What a connection says of a server that has gone. */
const GONE = ["ECONNREFUSED", "ECONNRESET", "EPIPE", "ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH"];

/** A request that may be sent again: what has become of it is open. */
export interface Refused {
  readonly what: string;
  readonly why: string;
  readonly atMs: number;
  readonly tookMs: number;
}

/** A time in which no request was served, whoever's. */
export interface Gap {
  readonly fromMs: number;
  readonly ms: number;
}

export class Traffic {
  readonly #client: S3Client;
  readonly #bucket: string;
  /** Before all names: others were here earlier. */
  readonly #folder = randomUUID();
  readonly #registers = new Map<string, Register>();
  readonly #working: Promise<unknown>;
  readonly refused: Refused[] = [];
  #isStopped = false;
  #stopped: Promise<void> | undefined;
  #served = 0;
  #servedAtMs = performance.now();
  #longestGap: Gap = { fromMs: 0, ms: 0 };

  constructor({ endpoint, region, accessKeyId, secretAccessKey, bucket }: Credentials) {
    const credentials = { accessKeyId, secretAccessKey };
    this.#client = new S3Client({ endpoint, region, credentials, forcePathStyle: true, maxAttempts: 1 });
    this.#bucket = bucket;
    this.#working = Promise.all(Array.from({ length: CLIENTS }, (_, client) => this.#work(client)));
    // It is awaited by whoever waits, and at the end.
    this.#working.catch(() => undefined);
  }

  /** Also of a client that waits for an answer when it is stopped: known once it has stopped. */
  get longestGap(): Gap {
    return this.#longestGap;
  }

  /** Refusals but those that a Vault explains which stood still for a while, as one may on a busy machine. */
  unexplained(): readonly Refused[] {
    const isOfStore = ({ why }: Refused) => why.startsWith("503 ");
    const waited = this.refused.filter((one) => isOfStore(one) && one.tookMs >= VAULT_WAITED_MS);
    return this.refused.filter(
      (one) => !isOfStore(one) || !waited.some(({ atMs }) => Math.abs(atMs - one.atMs) < EXPLAINED_MS),
    );
  }

  /** Until so many more were served. Fails at once when a client met what it may not meet. */
  async served(more: number, withinMs = SERVED_MS): Promise<void> {
    const wanted = this.#served + more;
    const waiting = waitFor(`${more} requests to be served`, withinMs, () => this.#served >= wanted || this.#isStopped);
    await Promise.race([waiting, this.#working]);
  }

  /** Ends them, and proves of every name that it holds, whole, what it may hold. */
  stop(): Promise<void> {
    this.#stopped ??= this.#end();
    return this.#stopped;
  }

  async #end(): Promise<void> {
    this.#isStopped = true;
    try {
      await this.#working;
      this.#endGap(performance.now());
      for (const [name, register] of this.#registers) {
        const value = await this.#get(name);
        const possible = register.possible();
        if (!possible.has(value)) {
          throw new Error(`"${name}" holds ${value}, and may hold ${[...possible].join(" or ")} alone`);
        }
      }
    } finally {
      this.#client.destroy();
    }
  }

  async #work(client: number): Promise<void> {
    for (let at = client; !this.#isStopped; at += 1) {
      const name = `${this.#folder}/client ${client}/${at % NAMES}`;
      const step = STEPS[at % STEPS.length] ?? "read";
      await this.#attempt(`${step} of "${name}"`, () => this.#step(step, name));
      await sleep(PAUSE_MS);
    }
  }

  async #attempt(what: string, work: () => Promise<void>): Promise<void> {
    const beganMs = performance.now();
    try {
      await work();
    } catch (error) {
      const why = retriable(error);
      if (why === undefined) throw new Error(`The ${what} met what no client may meet: ${error}`, { cause: error });
      const atMs = performance.now();
      this.refused.push({ what, why, atMs, tookMs: atMs - beganMs });
      return;
    }
    const nowMs = performance.now();
    this.#endGap(nowMs);
    this.#servedAtMs = nowMs;
    this.#served += 1;
  }

  #endGap(nowMs: number): void {
    const fromMs = this.#servedAtMs;
    const ms = nowMs - fromMs;
    if (ms > this.#longestGap.ms) this.#longestGap = { fromMs, ms };
  }

  #step(step: (typeof STEPS)[number], name: string): Promise<void> {
    if (step === "delete") return this.#delete(name);
    if (step === "read") return this.#read(name);
    return this.#put(name, `${step === "small" ? SMALL_BYTES : LARGE_BYTES}-${randomUUID()}`);
  }

  #register(name: string): Register {
    let register = this.#registers.get(name);
    if (register === undefined) {
      register = new Register();
      this.#registers.set(name, register);
    }
    return register;
  }

  async #put(name: string, seed: Seed): Promise<void> {
    const write = this.#register(name).begin(seed);
    const object = { Bucket: this.#bucket, Key: name, Body: bodyOf(seed), Metadata: { seed } };
    await this.#client.send(new PutObjectCommand(object), this.#limits());
    write.acknowledged();
  }

  async #delete(name: string): Promise<void> {
    const write = this.#register(name).begin(undefined);
    await this.#client.send(new DeleteObjectCommand({ Bucket: this.#bucket, Key: name }), this.#limits());
    write.acknowledged();
  }

  async #read(name: string): Promise<void> {
    const { found, possible } = await this.#register(name).during(() => this.#get(name));
    if (!possible.has(found)) {
      throw new Error(`"${name}" gave ${found}, and may hold ${[...possible].join(" or ")} alone`);
    }
  }

  /** undefined: it is not there. */
  async #get(name: string): Promise<Seed | undefined> {
    try {
      const answer = await this.#client.send(new GetObjectCommand({ Bucket: this.#bucket, Key: name }), this.#limits());
      const body = (await answer.Body?.transformToByteArray()) ?? new Uint8Array();
      const seed = answer.Metadata?.["seed"] ?? "0-";
      if (!bodyOf(seed).equals(body))
        throw new Error(`"${name}" is torn: it says ${seed}, and has ${body.length} bytes`);
      return seed;
    } catch (error) {
      if (error instanceof NoSuchKey) return undefined;
      throw error;
    }
  }

  #limits() {
    return { abortSignal: AbortSignal.timeout(REQUEST_MS) };
  }
}

/** Why a request may be sent again; undefined: it may not. */
function retriable(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { $metadata, code, name } = error as Error & { $metadata?: { httpStatusCode?: number }; code?: string };
  if (name === "AbortError") return "no answer";
  const status = $metadata?.httpStatusCode;
  if (status !== undefined) return status === 503 ? `503 ${name}` : undefined;
  return GONE.includes(code ?? "") ? code : undefined;
}
