// Signature V4 as a client makes it, in the header, in the query and over chunks: written here once more, so that the
// store's own arithmetic is held against another, and so that a test can break each piece of it.

import { createHash, createHmac } from "node:crypto";
import type { Pair } from "./dataplane.ts";

const EMPTY_SHA256 = sha256("");
const ALGORITHM = "AWS4-HMAC-SHA256";

export interface Unsigned {
  readonly method: string;
  /** As it stands in the request line: path and query, encoded. */
  readonly target: string;
  /** Lower-case names. `host` must be there. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface SigningOptions {
  readonly region?: string;
  readonly service?: string;
  readonly at?: Date;
  readonly expiresSeconds?: number;
  /** Instead of the day of `at`. */
  readonly day?: string;
}

export function sha256(bytes: Uint8Array | string): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function hmac(key: Uint8Array | string, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}

function timestampOf(at: Date): string {
  return at.toISOString().replace(/[-:]|\.\d{3}/g, "");
}

/** As `encodeURIComponent` with what Signature V4 wants encoded besides; `/` stays. */
export function encodeName(name: string): string {
  return encodeURIComponent(name)
    .replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll("%2F", "/");
}

function canonicalQuery(query: string): string {
  const pairs = query.split("&").filter((pair) => pair !== "");
  return pairs
    .map((pair) => (pair.includes("=") ? pair : `${pair}=`))
    .sort()
    .join("&");
}

interface Scope {
  readonly timestamp: string;
  readonly scope: string;
  readonly key: Buffer;
}

function scopeOf(pair: Pair, options: SigningOptions): Scope {
  const timestamp = timestampOf(options.at ?? new Date());
  const { region = "local", service = "s3", day = timestamp.slice(0, 8) } = options;
  const key = hmac(hmac(hmac(hmac(`AWS4${pair.secret}`, day), region), service), "aws4_request");
  return { timestamp, scope: `${day}/${region}/${service}/aws4_request`, key };
}

function signatureOf(request: Unsigned, names: readonly string[], payload: string, { timestamp, scope, key }: Scope) {
  const [path = "", query = ""] = request.target.split("?");
  const lines = names.map((name) => `${name}:${(request.headers[name] ?? "").trim()}\n`).join("");
  const canonical = [request.method, path, canonicalQuery(query), lines, names.join(";"), payload].join("\n");
  const digest = sha256(Buffer.from(canonical, "latin1"));
  return hmac(key, [ALGORITHM, timestamp, scope, digest].join("\n")).toString("hex");
}

export interface Signed {
  readonly headers: Readonly<Record<string, string>>;
  /** Continues the chain over the chunks of the body. */
  readonly chain: Chain;
}

/** Signs `host` and all `x-amz-*` headers. `payload`: what stands in x-amz-content-sha256. */
export function signHeaders(pair: Pair, request: Unsigned, payload: string, options: SigningOptions = {}): Signed {
  const scope = scopeOf(pair, options);
  const headers: Record<string, string> = {
    ...request.headers,
    "x-amz-date": request.headers["x-amz-date"] ?? scope.timestamp,
    "x-amz-content-sha256": payload,
  };
  const names = Object.keys(headers).filter((name) => name === "host" || name.startsWith("x-amz-"));
  names.sort();
  const signature = signatureOf({ ...request, headers }, names, payload, scope);
  const credential = `Credential=${pair.accessKeyId}/${scope.scope}`;
  headers["authorization"] = `${ALGORITHM} ${credential}, SignedHeaders=${names.join(";")}, Signature=${signature}`;
  return { headers, chain: new Chain(scope, signature) };
}

/** The target with its signature in the query. */
export function presign(pair: Pair, request: Unsigned, options: SigningOptions = {}): string {
  const scope = scopeOf(pair, options);
  const parameters = {
    "X-Amz-Algorithm": ALGORITHM,
    "X-Amz-Credential": encodeURIComponent(`${pair.accessKeyId}/${scope.scope}`),
    "X-Amz-Date": scope.timestamp,
    "X-Amz-Expires": String(options.expiresSeconds ?? 60),
    "X-Amz-SignedHeaders": "host",
  };
  const [path = "", query = ""] = request.target.split("?");
  const added = Object.entries(parameters).map(([name, value]) => `${name}=${value}`);
  const all = [...(query === "" ? [] : [query]), ...added].join("&");
  const signature = signatureOf({ ...request, target: `${path}?${all}` }, ["host"], "UNSIGNED-PAYLOAD", scope);
  return `${path}?${all}&X-Amz-Signature=${signature}`;
}

/** Each signature covers the one before. */
export class Chain {
  readonly #scope: Scope;
  #last: string;

  constructor(scope: Scope, seed: string) {
    this.#scope = scope;
    this.#last = seed;
  }

  #next(kind: string, rest: readonly string[]): string {
    const { timestamp, scope, key } = this.#scope;
    const text = [`${ALGORITHM}-${kind}`, timestamp, scope, this.#last, ...rest].join("\n");
    this.#last = hmac(key, text).toString("hex");
    return this.#last;
  }

  chunk(bytes: Uint8Array): string {
    return this.#next("PAYLOAD", [EMPTY_SHA256, sha256(bytes)]);
  }

  trailers(text: string): string {
    return this.#next("TRAILER", [sha256(text)]);
  }
}
