// An S3 client for one server: it puts, gets and lists over connections that it keeps, and believes no answer that it has
// not read to its end.

import { Agent, type ClientRequest, type IncomingMessage, request } from "node:http";
import { type BenchBody, CHUNK_BYTES } from "./body.ts";
import { type Credentials, EMPTY_SHA256, type Signed, Signer } from "./signature.ts";

const SIGNATURE_BYTES = 64;
const SIGNED_PAYLOAD = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";

type Headers = Readonly<Record<string, string>>;

export interface Target {
  readonly url: URL;
  readonly credentials: Credentials;
  readonly bucket: string;
  /** Sent with each PUT, lower-case names: how a server is told to encrypt that does not do so by itself. */
  readonly putHeaders: Headers;
}

export class S3Client {
  readonly target: Target;
  readonly #signer: Signer;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 256, scheduling: "lifo" });
  /** Of bodies, both ways, so far: also of those that were cut off. */
  movedBytes = 0;

  constructor(target: Target) {
    this.target = target;
    this.#signer = new Signer(target.credentials);
  }

  #begin(method: string, path: string, query: string, payload: string, headers: Headers, signedHeaders: Headers = {}) {
    const { url } = this.target;
    const signed = this.#signer.sign(
      {
        method,
        path,
        query,
        payload,
        headers: { host: url.host, ...signedHeaders },
      },
      new Date(),
    );
    const asked = request({
      agent: this.#agent,
      host: url.hostname,
      port: url.port,
      method,
      path: query === "" ? path : `${path}?${query}`,
      headers: { ...signed.headers, ...headers },
    });
    return { signed, asked };
  }

  #path(name: string): string {
    return `/${this.target.bucket}/${name}`;
  }

  /** It may be there already. */
  async createBucket(): Promise<void> {
    const { asked } = this.#begin("PUT", `/${this.target.bucket}`, "", EMPTY_SHA256, {});
    asked.end();
    await answered(asked, [200, 409]);
  }

  async put(name: string, body: BenchBody, signChunks: boolean, abort?: AbortSignal): Promise<void> {
    const headers: Record<string, string> = { "content-length": String(body.sizeBytes) };
    const signedHeaders: Record<string, string> = { ...this.target.putHeaders };
    if (signChunks) {
      headers["content-encoding"] = "aws-chunked";
      headers["content-length"] = String(chunkedBytes(body.sizeBytes));
      signedHeaders["x-amz-decoded-content-length"] = String(body.sizeBytes);
    }
    const payload = signChunks ? SIGNED_PAYLOAD : "UNSIGNED-PAYLOAD";
    const { signed, asked } = this.#begin("PUT", this.#path(name), "", payload, headers, signedHeaders);
    abort?.addEventListener("abort", () => asked.destroy(), { once: true });
    const answer = answered(asked, [200]);
    // Its failure is waited for below, behind a body that nobody may take any more.
    answer.catch(() => undefined);
    await Promise.race([this.#send(asked, body, signChunks ? signed : undefined), answer]);
    await answer;
  }

  async #send(asked: ClientRequest, body: BenchBody, signed: Signed | undefined): Promise<void> {
    asked.cork();
    let corked = 0;
    for (const { bytes, sha256 } of body.chunks()) {
      if (signed !== undefined) asked.write(`${bytes.length.toString(16)};chunk-signature=${signed.chunk(sha256)}\r\n`);
      asked.write(bytes);
      if (signed !== undefined) asked.write("\r\n");
      corked += bytes.length;
      this.movedBytes += bytes.length;
      if (corked < 4 * CHUNK_BYTES) continue;
      asked.uncork();
      corked = 0;
      if (asked.writableNeedDrain) await drained(asked);
      if (asked.destroyed) return;
      asked.cork();
    }
    asked.end(signed === undefined ? undefined : `0;chunk-signature=${signed.chunk(EMPTY_SHA256)}\r\n\r\n`);
    asked.uncork();
  }

  /** Throws unless all of the body came, and was the one that was put. */
  async get(name: string, body: BenchBody, abort?: AbortSignal): Promise<void> {
    const { asked } = this.#begin("GET", this.#path(name), "", EMPTY_SHA256, {});
    abort?.addEventListener("abort", () => asked.destroy(), { once: true });
    asked.end();
    let cameBytes = 0;
    let right = true;
    await answered(asked, [200], (bytes) => {
      right &&= body.holds(bytes, cameBytes);
      cameBytes += bytes.length;
      this.movedBytes += bytes.length;
    });
    if (!right || cameBytes !== body.sizeBytes) throw new Error(`GET of ${name} gave other bytes than were put`);
  }

  /** The names of one page behind `after`. */
  async list(prefix: string, after: string, limit: number): Promise<number> {
    const parts = { "list-type": "2", "max-keys": String(limit), prefix, "start-after": after };
    const query = Object.entries(parts)
      .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
      .sort()
      .join("&");
    const { asked } = this.#begin("GET", `/${this.target.bucket}`, query, EMPTY_SHA256, {});
    asked.end();
    const text: Buffer[] = [];
    await answered(asked, [200], (bytes) => text.push(bytes));
    return Buffer.concat(text).toString("latin1").split("<Key>").length - 1;
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** With the lines between chunks. */
function chunkedBytes(plainBytes: number): number {
  const line = (bytes: number): number => bytes.toString(16).length + ";chunk-signature=".length + SIGNATURE_BYTES + 4;
  const whole = Math.floor(plainBytes / CHUNK_BYTES);
  const rest = plainBytes % CHUNK_BYTES;
  return plainBytes + whole * line(CHUNK_BYTES) + (rest === 0 ? 0 : line(rest)) + line(0);
}

function drained(asked: ClientRequest): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const go = (): void => {
    asked.removeListener("drain", go);
    asked.removeListener("close", go);
    resolve();
  };
  asked.on("drain", go);
  asked.on("close", go);
  return promise;
}

/** Resolves once the whole answer came; rejects with its text if it has another status. */
function answered(asked: ClientRequest, statuses: readonly number[], take?: (bytes: Buffer) => void): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  asked.once("error", reject);
  asked.once("response", (answer: IncomingMessage) => {
    const right = statuses.includes(answer.statusCode ?? 0);
    let text = "";
    answer.on("data", (bytes: Buffer) => {
      if (!right) text += bytes.toString("latin1");
      else take?.(bytes);
    });
    answer.once("error", reject);
    answer.once("close", () => {
      if (!answer.complete) reject(new Error("the answer was broken off"));
      else if (!right) reject(new Error(`status ${answer.statusCode}: ${text.slice(0, 300)}`));
      else resolve();
    });
  });
  return promise;
}
