// A small S3 client over node:http: one attempt a request, every answer as it came, so that a test sees what happened.

import { createHash } from "node:crypto";
import { Agent, type IncomingMessage, request } from "node:http";
import { BUCKET, type DataPlane } from "./dataplane.ts";
import { encodeName, signHeaders } from "./signature.ts";

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
  /** The answer did not reach its end. */
  readonly broken: boolean;
}

export interface Sending {
  readonly query?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | undefined;
  /** Sent one behind the other instead of `body`, with a pause after each. */
  readonly pieces?: readonly Uint8Array[];
}

/** No answer came, or not even its head. */
export class NoAnswer extends Error {}

export class S3 {
  readonly #plane: DataPlane;
  readonly #bucket: string;
  readonly #agent: Agent;

  constructor(plane: DataPlane, bucket: string = BUCKET) {
    this.#plane = plane;
    this.#bucket = bucket;
    this.#agent = new Agent({ keepAlive: true, maxSockets: 64 });
  }

  close(): void {
    this.#agent.destroy();
  }

  /** `name` undefined: the bucket. Rejects with NoAnswer. */
  send(method: string, name: string | undefined, sending: Sending = {}): Promise<Answer> {
    const path = name === undefined ? `/${this.#bucket}` : `/${this.#bucket}/${encodeName(name)}`;
    const target = sending.query === undefined ? path : `${path}?${sending.query}`;
    const host = `127.0.0.1:${this.#plane.s3Port}`;
    const pieces = sending.pieces ?? (sending.body === undefined ? [] : [sending.body]);
    const bytes = pieces.reduce((sum, piece) => sum + piece.length, 0);
    const pair = this.#plane.wish.buckets[this.#bucket]?.pair ?? this.#plane.pair;
    const unsigned = { method, target, headers: { ...sending.headers, host } };
    const { headers } = signHeaders(pair, unsigned, "UNSIGNED-PAYLOAD");
    const length = bytes > 0 || method === "PUT" || method === "POST" ? { "content-length": String(bytes) } : {};
    return this.#exchange(method, target, { ...headers, ...length }, pieces);
  }

  #exchange(
    method: string,
    path: string,
    headers: Readonly<Record<string, string>>,
    pieces: readonly Uint8Array[],
  ): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const agent = this.#agent;
    const asked = request({ host: "127.0.0.1", port: this.#plane.s3Port, method, path, headers, agent });
    asked.on("error", (error) => reject(new NoAnswer(`${method} got no answer: ${error.message}`)));
    asked.on("response", (answer) => {
      const blocks: Buffer[] = [];
      let settled = false;
      const settle = (broken: boolean): void => {
        if (settled) return;
        settled = true;
        const { statusCode = 0 } = answer;
        resolve({ status: statusCode, headers: answer.headers, body: Buffer.concat(blocks), broken });
      };
      answer.on("data", (block: Buffer) => blocks.push(block));
      answer.on("end", () => settle(!answer.complete));
      answer.on("error", () => settle(true));
      answer.on("close", () => settle(!answer.complete));
    });
    const next = (at: number): void => {
      const piece = pieces[at];
      if (piece === undefined || asked.destroyed) {
        asked.end();
        return;
      }
      asked.write(piece, () => setImmediate(next, at + 1));
    };
    next(0);
    return promise;
  }

  put(name: string, body: Uint8Array, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return this.send("PUT", name, { body, headers });
  }

  get(name: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return this.send("GET", name, { headers });
  }

  head(name: string): Promise<Answer> {
    return this.send("HEAD", name);
  }

  delete(name: string): Promise<Answer> {
    return this.send("DELETE", name);
  }

  /** The whole listing, page by page. Throws for any answer but 200. */
  async list(pageSize = 1000): Promise<readonly Listed[]> {
    const listed: Listed[] = [];
    let token: string | undefined;
    do {
      const next = token === undefined ? "" : `&continuation-token=${encodeURIComponent(token)}`;
      const query = `encoding-type=url&list-type=2&max-keys=${pageSize}${next}`;
      const answer = await this.send("GET", undefined, { query });
      if (answer.status !== 200 || answer.broken) throw new Error(`A listing answered ${describe(answer)}`);
      const xml = answer.body.toString();
      for (const contents of elements(xml, "Contents")) {
        const name = decodeURIComponent(element(contents, "Key"));
        listed.push({ name, etag: element(contents, "ETag"), bytes: Number(element(contents, "Size")) });
      }
      token = elements(xml, "NextContinuationToken")[0];
    } while (token !== undefined);
    return listed;
  }

  async createUpload(name: string, headers: Readonly<Record<string, string>> = {}): Promise<string> {
    const answer = await this.send("POST", name, { query: "uploads=", headers });
    if (answer.status !== 200) throw new NoAnswer(`CreateMultipartUpload answered ${describe(answer)}`);
    return element(answer.body.toString(), "UploadId");
  }

  /** Its ETag. */
  async uploadPart(name: string, uploadId: string, partNumber: number, body: Uint8Array): Promise<string> {
    const query = `partNumber=${partNumber}&uploadId=${encodeURIComponent(uploadId)}`;
    const answer = await this.send("PUT", name, { query, body });
    if (answer.status !== 200) throw new NoAnswer(`UploadPart answered ${describe(answer)}`);
    return answer.headers.etag ?? "";
  }

  complete(name: string, uploadId: string, etags: readonly string[]): Promise<Answer> {
    const parts = etags.map((etag, at) => `<Part><PartNumber>${at + 1}</PartNumber><ETag>${etag}</ETag></Part>`);
    const body = Buffer.from(`<CompleteMultipartUpload>${parts.join("")}</CompleteMultipartUpload>`);
    return this.send("POST", name, { query: `uploadId=${encodeURIComponent(uploadId)}`, body });
  }

  abort(name: string, uploadId: string): Promise<Answer> {
    return this.send("DELETE", name, { query: `uploadId=${encodeURIComponent(uploadId)}` });
  }

  listParts(name: string, uploadId: string): Promise<Answer> {
    return this.send("GET", name, { query: `uploadId=${encodeURIComponent(uploadId)}` });
  }
}

export interface Listed {
  readonly name: string;
  readonly etag: string;
  readonly bytes: number;
}

/** For messages: an answer's status and its beginning. */
export function describe(answer: Answer): string {
  const text = answer.body.subarray(0, 300).toString("latin1");
  return `${answer.status}${answer.broken ? " (broken off)" : ""} ${text}`;
}

/** The code of an error's XML, "" if there is none. */
export function codeOf(answer: Pick<Answer, "body">): string {
  return elements(answer.body.toString(), "Code")[0] ?? "";
}

export function md5(bytes: Uint8Array): string {
  return createHash("md5").update(bytes).digest("hex");
}

const ENTITIES: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

function textOf(text: string): string {
  return text.replace(/&(#x[0-9a-f]+|#\d+|\w+);/gi, (whole, entity: string) => {
    if (entity.startsWith("#x")) return String.fromCodePoint(Number.parseInt(entity.slice(2), 16));
    if (entity.startsWith("#")) return String.fromCodePoint(Number(entity.slice(1)));
    return ENTITIES[entity] ?? whole;
  });
}

/** What stands between each `<name>` and its end; text is unescaped, elements within stay as they are. */
export function elements(xml: string, name: string): readonly string[] {
  const found = xml.matchAll(new RegExp(`<${name}>([\\s\\S]*?)</${name}>`, "g"));
  return [...found].map(([, inner = ""]) => (inner.includes("<") ? inner : textOf(inner)));
}

/** The first of them; throws if there is none. */
export function element(xml: string, name: string): string {
  const [first] = elements(xml, name);
  if (first === undefined) throw new Error(`There is no <${name}> in ${xml.slice(0, 300)}`);
  return first;
}
