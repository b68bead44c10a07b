/** Bodies of REST: objects as they are sent, with the digests that headers promise, and small JSON. */
import type { IncomingMessage } from "node:http";
import type { Body, ChecksumAlgorithm, Digests } from "../call.ts";
import { Failure } from "../failure.ts";
import type { Sent } from "../http/table.ts";

const DIGEST_HEADERS: readonly (readonly [header: string, algorithm: ChecksumAlgorithm, bytes: number])[] = [
  ["content-md5", "MD5", 16],
  ["x-amz-checksum-crc32", "CRC32", 4],
  ["x-amz-checksum-crc32c", "CRC32C", 4],
  ["x-amz-checksum-crc64nvme", "CRC64NVME", 8],
  ["x-amz-checksum-sha1", "SHA1", 20],
  ["x-amz-checksum-sha256", "SHA256", 32],
  ["x-amz-checksum-sha512", "SHA512", 64],
  ["x-amz-checksum-md5", "MD5", 16],
];

/** What a head says of its body. Digests are looked at when they are asked for, so that they are refused behind the caller. */
export function bodyOf(head: IncomingMessage, sent: Sent): Body {
  let digests: Digests | undefined;
  const promised = (): Digests => {
    digests ??= digestsOf(head);
    return digests;
  };
  const length = head.headers["content-length"];
  const chunked = head.headers["transfer-encoding"] !== undefined;
  return {
    plainBytes: length === undefined || chunked ? undefined : Number(length),
    get announced() {
      return [...promised().keys()];
    },
    disposable: true,
    promised,
    [Symbol.asyncIterator]: () => sent[Symbol.asyncIterator](),
  };
}

/** Throws MissingContentLength for a body whose end nobody could know. */
export function checkLength(head: IncomingMessage): void {
  if (head.headers["content-length"] !== undefined || head.headers["transfer-encoding"] !== undefined) return;
  throw new Failure("MissingContentLength", "The request needs Content-Length or Transfer-Encoding: chunked");
}

/** Throws MalformedJSON. The row's limit bounds its size. */
export async function readJson(body: Body): Promise<unknown> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let text = "";
  try {
    for await (const block of body) text += decoder.decode(block, { stream: true });
    text += decoder.decode();
    return JSON.parse(text);
  } catch (cause) {
    if (cause instanceof Failure) throw cause;
    throw new Failure("MalformedJSON", "The body is not JSON", { cause });
  }
}

/** Throws InvalidDigest, or InvalidRequest for a checksum that we cannot verify. */
function digestsOf(head: IncomingMessage): Digests {
  const digests = new Map<ChecksumAlgorithm, Uint8Array>();
  for (const [header, algorithm, bytes] of DIGEST_HEADERS) {
    const value = head.headers[header];
    if (value === undefined) continue;
    const digest = Buffer.from(String(value), "base64");
    if (digest.length !== bytes || digest.toString("base64") !== String(value).trim()) {
      throw new Failure("InvalidDigest", `The header ${header} is not ${bytes} bytes in base64`);
    }
    const before = digests.get(algorithm);
    if (before !== undefined && Buffer.compare(before, digest) !== 0) {
      throw new Failure("InvalidRequest", `Two headers state another ${algorithm} of the body`);
    }
    digests.set(algorithm, digest);
  }
  const known = new Set(DIGEST_HEADERS.map(([header]) => header));
  const unknown = Object.keys(head.headers).find((name) => name.startsWith("x-amz-checksum-") && !known.has(name));
  if (unknown !== undefined) throw new Failure("InvalidRequest", `The checksum header ${unknown} is not supported`);
  return digests;
}
