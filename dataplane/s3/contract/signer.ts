/**
 * For tests: Signature V4 as a client makes it, written apart from the server's, so that both can be wrong only in the
 * same way that S3's published examples, which are in the tests too, would show.
 */
import { createHash, createHmac } from "node:crypto";

export interface Signing {
  readonly method: string;
  /** As it is sent; a query that is in it stands there as the canonical form wants it. */
  readonly target: string;
  /** As they are sent, latin1; `host` must be among them. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** The last line of the canonical request. */
  readonly payload: string;
  readonly timestamp: string;
  readonly region?: string;
  readonly accessKeyId: string;
  readonly secret: string;
}

export interface Signed {
  readonly authorization: string;
  readonly signature: string;
  readonly signedHeaders: string;
  readonly scope: string;
}

export function sha256Hex(bytes: string | Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

export function signRequest(signing: Signing): Signed {
  const [path = "", query = ""] = split(signing.target, "?");
  const headers = signing.headers.map(([name, value]) => [name.toLowerCase(), value.trim()] as const);
  headers.sort(([a], [b]) => (a < b ? -1 : 1));
  const signedHeaders = headers.map(([name]) => name).join(";");
  const lines = headers.map(([name, value]) => `${name}:${value.replace(/ +/g, " ")}\n`).join("");
  const pairs = query === "" ? [] : query.split("&").map((pair) => (pair.includes("=") ? pair : `${pair}=`));
  const canonical = [signing.method, path, pairs.sort(byName).join("&"), lines, signedHeaders, signing.payload].join(
    "\n",
  );
  const scope = scopeOf(signing);
  const text = `AWS4-HMAC-SHA256\n${signing.timestamp}\n${scope}\n${sha256Hex(Buffer.from(canonical, "latin1"))}`;
  const signature = hmac(signingKeyOf(signing), text).toString("hex");
  const authorization = `AWS4-HMAC-SHA256 Credential=${signing.accessKeyId}/${scope}, SignedHeaders=${signedHeaders}, Signature=${signature}`;
  return { authorization, signature, signedHeaders, scope };
}

/** The target with a signature in its query, over `host` alone. */
export function presign(signing: Signing, expires: string | number, more: readonly string[] = []): string {
  const [path = "", query = ""] = split(signing.target, "?");
  const names = signing.headers.map(([name]) => name.toLowerCase()).sort();
  const parameters = [
    ...(query === "" ? [] : query.split("&")),
    "X-Amz-Algorithm=AWS4-HMAC-SHA256",
    `X-Amz-Credential=${encodeURIComponent(`${signing.accessKeyId}/${scopeOf(signing)}`)}`,
    `X-Amz-Date=${signing.timestamp}`,
    `X-Amz-Expires=${expires}`,
    `X-Amz-SignedHeaders=${names.join("%3B")}`,
    ...more,
  ];
  const target = `${path}?${parameters.join("&")}`;
  const { signature } = signRequest({ ...signing, target });
  return `${target}&X-Amz-Signature=${signature}`;
}

export interface ChunkedOptions {
  /** undefined: chunks are not signed. */
  readonly seed: { readonly signature: string; readonly signing: Signing } | undefined;
  /** Lines behind the last chunk, `name:value`; undefined: the form has none. */
  readonly trailers: readonly string[] | undefined;
}

/** The bytes of an aws-chunked body. */
export function chunkedBody(chunks: readonly Uint8Array[], { seed, trailers }: ChunkedOptions): Buffer {
  const pieces: Uint8Array[] = [];
  let previous = seed?.signature ?? "";
  const next = (kind: string, rest: string): string => {
    if (seed === undefined) return "";
    const { signing } = seed;
    previous = hmac(
      signingKeyOf(signing),
      `${kind}\n${signing.timestamp}\n${scopeOf(signing)}\n${previous}\n${rest}`,
    ).toString("hex");
    return previous;
  };
  for (const chunk of [...chunks, new Uint8Array(0)]) {
    const signature = next("AWS4-HMAC-SHA256-PAYLOAD", `${sha256Hex("")}\n${sha256Hex(chunk)}`);
    const extension = seed === undefined ? "" : `;chunk-signature=${signature}`;
    pieces.push(Buffer.from(`${chunk.length.toString(16)}${extension}\r\n`), chunk);
    if (chunk.length > 0) pieces.push(Buffer.from("\r\n"));
  }
  for (const line of trailers ?? []) pieces.push(Buffer.from(`${line}\r\n`));
  if (seed !== undefined && trailers !== undefined) {
    const covered = sha256Hex(trailers.map((line) => `${line}\n`).join(""));
    pieces.push(Buffer.from(`x-amz-trailer-signature:${next("AWS4-HMAC-SHA256-TRAILER", covered)}\r\n`));
  }
  pieces.push(Buffer.from("\r\n"));
  return join(pieces);
}

export function join(pieces: readonly Uint8Array[]): Buffer {
  const all = Buffer.alloc(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

/** By name, then by value: `a` comes before `a-`. */
function byName(a: string, b: string): number {
  const [nameA = "", valueA = ""] = split(a, "=");
  const [nameB = "", valueB = ""] = split(b, "=");
  const [first, second] = nameA === nameB ? [valueA, valueB] : [nameA, nameB];
  return first < second ? -1 : 1;
}

function scopeOf({ timestamp, region = "local" }: Signing): string {
  return `${timestamp.slice(0, 8)}/${region}/s3/aws4_request`;
}

function signingKeyOf({ secret, timestamp, region = "local" }: Signing): Buffer {
  const day = hmac(`AWS4${secret}`, timestamp.slice(0, 8));
  return hmac(hmac(hmac(day, region), "s3"), "aws4_request");
}

function hmac(hmacKey: string | Uint8Array, text: string): Buffer {
  return createHmac("sha256", hmacKey).update(text).digest();
}

function split(text: string, sign: string): string[] {
  const at = text.indexOf(sign);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}
