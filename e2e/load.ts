// Several clients who put, overwrite, delete, complete uploads and read, some of them under the same names, and what must
// be true of every name at any moment. Bodies are made from their name, so that each proves whole or torn by itself.

import { createCipheriv, createHash, randomUUID } from "node:crypto";
import type { DataPlane } from "./dataplane.ts";
import type { Draw } from "./draw.ts";
import { Register } from "./register.ts";
import { type Answer, describe, element, NoAnswer, S3 } from "./s3.ts";

const MIB = 1024 * 1024;
const CLIENTS = 6;
const OWN_NAMES = 5;
const MADE_MAX = 64;
const SHARED = ["shared/a", "shared/b", "shared/ä/../c", "shared/\u{1f512}"];

/** `SIZE-ID`: what a body is made from, and what its metadata says. */
export type Seed = string;

const made = new Map<Seed, Buffer>();

/** Bytes that no other seed gives, from their seed alone. */
export function bodyOf(seed: Seed): Buffer {
  let body = made.get(seed);
  if (body === undefined) {
    const bytes = Number(seed.split("-", 1)[0]);
    const key = createHash("sha256").update(seed).digest();
    body = createCipheriv("aes-256-ctr", key, Buffer.alloc(16)).update(Buffer.alloc(bytes));
    if (made.size >= MADE_MAX) made.delete(made.keys().next().value ?? "");
    made.set(seed, body);
  }
  return body;
}

/** The seed of a body that came whole; throws for any other. */
function seedOf(name: string, answer: Answer): Seed {
  const seed = String(answer.headers["x-amz-meta-seed"]);
  if (answer.broken || !bodyOf(seed).equals(answer.body)) {
    throw new Error(`"${name}" is torn: it says ${seed}, and has ${answer.body.length} bytes`);
  }
  return seed;
}

/** What has become of the request is as open as without an answer. */
class Refused extends Error {}

/** A Complete whose answer did not come. */
interface OpenComplete {
  readonly name: string;
  readonly uploadId: string;
  readonly etags: readonly string[];
  readonly seed: Seed;
}

export class Load {
  readonly #plane: DataPlane;
  readonly #draw: Draw;
  readonly #tolerated: readonly number[];
  readonly #registers = new Map<string, Register>();
  #open: OpenComplete[] = [];
  #running: Promise<unknown> = Promise.resolve();
  #s3: S3;
  /** What was acknowledged, over all. */
  acknowledged = 0;
  /** Requests that the kill met. */
  cutOff = 0;
  /** Requests that were answered by one of the tolerated statuses. */
  refused = 0;

  /** `tolerated`: statuses that leave open what has become of a request. */
  constructor(plane: DataPlane, draw: Draw, tolerated: readonly number[] = []) {
    this.#plane = plane;
    this.#draw = draw;
    this.#tolerated = tolerated;
    this.#s3 = new S3(plane);
    for (const name of SHARED) this.#registers.set(name, new Register());
    for (let client = 0; client < CLIENTS; client += 1) {
      for (const name of namesOf(client)) this.#registers.set(name, new Register());
    }
  }

  /** Runs until the store is gone. */
  begin(): void {
    this.#s3 = new S3(this.#plane);
    const clients = Array.from({ length: CLIENTS }, (_, client) => this.#client(client));
    this.#running = Promise.all(clients);
    // It is awaited behind the kill.
    this.#running.catch(() => undefined);
  }

  /** Behind the kill: every client has met it. */
  async ended(): Promise<void> {
    await this.#running;
    this.#s3.close();
  }

  async #client(client: number): Promise<void> {
    const names = [...namesOf(client), ...SHARED];
    while (this.#plane.isRunning) {
      const name = this.#draw.one(names);
      try {
        await this.#step(name);
      } catch (error) {
        // A large body that is refused at its beginning meets a closed connection, as the store's limit for the rest has it.
        const isRefusal = error instanceof NoAnswer && this.#plane.isRunning && this.#tolerated.length > 0;
        if (isRefusal || error instanceof Refused) {
          this.refused += 1;
          continue;
        }
        // Only a kill may cut a request off.
        if (!(error instanceof NoAnswer) || this.#plane.isRunning) throw error;
        this.cutOff += 1;
      }
    }
  }

  #step(name: string): Promise<void> {
    const at = this.#draw.below(100);
    if (at < 40) return this.#put(name, this.#draw.below(60_000));
    if (at < 55) return this.#put(name, 66_000 + this.#draw.below(MIB));
    if (at < 65) return this.#delete(name);
    if (at < 80) return this.#multipart(name, this.#draw.below(6) === 0);
    if (at < 83) return this.#abandon(name);
    return this.#read(name);
  }

  register(name: string): Register {
    const register = this.#registers.get(name);
    if (register === undefined) throw new Error(`"${name}" is nobody's`);
    return register;
  }

  async #put(name: string, bytes: number): Promise<void> {
    const seed = `${bytes}-${randomUUID()}`;
    const body = bodyOf(seed);
    const pieces = bytes > 66_000 ? [body.subarray(0, bytes >> 1), body.subarray(bytes >> 1)] : [body];
    const write = this.register(name).begin(seed);
    const answer = await this.#s3.send("PUT", name, { pieces, headers: { "x-amz-meta-seed": seed } });
    this.#assert(answer, 200, `PUT of "${name}"`);
    write.acknowledged();
  }

  async #delete(name: string): Promise<void> {
    const write = this.register(name).begin(undefined);
    this.#assert(await this.#s3.delete(name), 204, `DELETE of "${name}"`);
    write.acknowledged();
  }

  async #multipart(name: string, large: boolean): Promise<void> {
    const sizes = large ? [5 * MIB, 100_000 + this.#draw.below(MIB)] : [this.#draw.below(300_000)];
    const seed = `${sizes.reduce((sum, size) => sum + size)}-${randomUUID()}`;
    const body = bodyOf(seed);
    const uploadId = await this.#createUpload(name, { "x-amz-meta-seed": seed });
    const etags: string[] = [];
    let from = 0;
    for (const [at, size] of sizes.entries()) {
      etags.push(await this.#uploadPart(name, uploadId, at + 1, body.subarray(from, from + size)));
      from += size;
    }
    const complete: OpenComplete = { name, uploadId, etags, seed };
    const write = this.register(name).begin(seed);
    this.#open.push(complete);
    this.#assert(await this.#s3.complete(name, uploadId, etags), 200, `Complete of "${name}"`);
    this.#open = this.#open.filter((other) => other !== complete);
    write.acknowledged();
  }

  async #createUpload(name: string, headers: Readonly<Record<string, string>>): Promise<string> {
    const answer = await this.#s3.send("POST", name, { query: "uploads=", headers });
    this.#assert(answer, 200, `CreateMultipartUpload of "${name}"`);
    return element(answer.body.toString(), "UploadId");
  }

  async #uploadPart(name: string, uploadId: string, partNumber: number, body: Uint8Array): Promise<string> {
    const query = `partNumber=${partNumber}&uploadId=${uploadId}`;
    const answer = await this.#s3.send("PUT", name, { query, body });
    this.#assert(answer, 200, `UploadPart of "${name}"`);
    return answer.headers.etag ?? "";
  }

  /** An upload that comes to nothing. */
  async #abandon(name: string): Promise<void> {
    const uploadId = await this.#createUpload(name, {});
    await this.#uploadPart(name, uploadId, 1, bodyOf(`${this.#draw.below(200_000)}-${uploadId}`));
    this.#assert(await this.#s3.abort(name, uploadId), 204, `Abort of "${name}"`);
  }

  async #read(name: string): Promise<void> {
    const { found, possible } = await this.register(name).during(() => this.#s3.get(name));
    const seen = this.#seen(name, found);
    if (!possible.has(seen)) {
      throw new Error(`"${name}" gave ${seen}, and may hold ${[...possible].join(" or ")} alone`);
    }
  }

  /** undefined: it is not there. */
  #seen(name: string, answer: Answer): Seed | undefined {
    if (answer.status === 404) return undefined;
    this.#assert(answer, 200, `GET of "${name}"`);
    return seedOf(name, answer);
  }

  #assert(answer: Answer, status: number, what: string): void {
    if (answer.broken) throw new NoAnswer(`${what} was broken off`);
    if (this.#tolerated.includes(answer.status)) throw new Refused(what);
    if (answer.status !== status) throw new Error(`${what} answered ${describe(answer)}`);
    this.acknowledged += 1;
  }

  /** While nobody writes: every name holds, whole, what it may hold, and the listing says the same of it. */
  async verify(): Promise<void> {
    this.#s3 = new S3(this.#plane);
    try {
      const listed = new Map((await this.#s3.list(7)).map((entry) => [entry.name, entry]));
      const names = [...this.#registers.keys()];
      const seen = await Promise.all(names.map(async (name) => [name, await this.#s3.get(name)] as const));
      for (const [name, answer] of seen) {
        const value = this.#seen(name, answer);
        const possible = this.register(name).possible();
        if (!possible.has(value)) {
          throw new Error(`"${name}" holds ${value}, and may hold ${[...possible].join(" or ")} alone`);
        }
        this.register(name).settle(value);
        const entry = listed.get(name);
        const fits = entry?.etag === answer.headers.etag && entry?.bytes === answer.body.length;
        if (value === undefined ? entry !== undefined : !fits) {
          throw new Error(`the listing says of "${name}" ${JSON.stringify(entry)}, and GET ${describe(answer)}`);
        }
      }
      for (const name of listed.keys()) this.register(name);
      for (const complete of this.#open.splice(0)) await this.#repeat(complete);
    } finally {
      this.#s3.close();
    }
  }

  /** A client that got no answer asks again: the answer is the same, and the upload is completed once. */
  async #repeat({ name, uploadId, etags, seed }: OpenComplete): Promise<void> {
    const before = this.#seen(name, await this.#s3.get(name));
    const isOpen = (await this.#s3.listParts(name, uploadId)).status === 200;
    const answer = await this.#s3.complete(name, uploadId, etags);
    if (answer.status !== 200) throw new Error(`the same Complete of "${name}" answered ${describe(answer)}`);
    const after = this.#seen(name, await this.#s3.get(name));
    if (after !== (isOpen ? seed : before)) throw new Error(`"${name}" holds ${after} behind the second Complete`);
    this.register(name).settle(after);
  }
}

function namesOf(client: number): readonly string[] {
  return Array.from({ length: OWN_NAMES }, (_, at) => `client ${client}/${at}`);
}
