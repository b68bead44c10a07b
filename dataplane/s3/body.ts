/**
 * The body of a request, decoded by what its signature says of it: as it stands, unsigned or under one SHA-256, or cut
 * into `aws-chunked` pieces. Digests are read here and compared in objects/, but for the payload's own hash.
 */
import { createHash, type Hash, hash } from "node:crypto";
import type { Body, ChecksumAlgorithm, Digests } from "../call.ts";
import { Failure } from "../failure.ts";
import type { Sent } from "../http/table.ts";
import { type Announced, announcedBy, digestBytes } from "./checksums.ts";
import { ChunkReader } from "./chunked.ts";
import { type Fields, wholeNumber } from "./fields.ts";
import type { ChunkSigner } from "./signing.ts";

/** What `x-amz-content-sha256` says of the body. */
export type Payload =
  | { readonly kind: "unsigned" }
  | { readonly kind: "hashed"; readonly sha256: string }
  | { readonly kind: "chunked"; readonly signed: boolean; readonly trailers: boolean };

const UNSIGNED: Payload = { kind: "unsigned" };
const STREAMING: Readonly<Record<string, Payload>> = {
  "UNSIGNED-PAYLOAD": UNSIGNED,
  "STREAMING-AWS4-HMAC-SHA256-PAYLOAD": { kind: "chunked", signed: true, trailers: false },
  "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER": { kind: "chunked", signed: true, trailers: true },
  "STREAMING-UNSIGNED-PAYLOAD-TRAILER": { kind: "chunked", signed: false, trailers: true },
};

/** Throws InvalidArgument for what is none. */
export function payloadOf(text: string): Payload {
  if (/^[0-9a-f]{64}$/.test(text)) return { kind: "hashed", sha256: text };
  const payload = Object.hasOwn(STREAMING, text) ? STREAMING[text] : undefined;
  if (payload === undefined) {
    throw new Failure(
      "InvalidArgument",
      `x-amz-content-sha256 must be ${Object.keys(STREAMING).join(", ")}, or a SHA-256 in hex`,
    );
  }
  return payload;
}

/** Throws InvalidArgument for a length that is none. `announced` and `promised` throw for bad checksum headers. */
export function createBody(sent: Sent, fields: Fields, payload: Payload, signer: ChunkSigner | undefined): S3Body {
  return new S3Body(sent, fields, payload, signer);
}

/** A Body that also says which one checksum, Content-MD5 apart, the client chose. */
export class S3Body implements Body {
  readonly plainBytes: number | undefined;
  readonly disposable = true;
  readonly #sent: Sent;
  readonly #fields: Fields;
  readonly #payload: Payload;
  readonly #signer: ChunkSigner | undefined;
  #announced: Announced | undefined;
  #trailerValue: Uint8Array | undefined;

  constructor(sent: Sent, fields: Fields, payload: Payload, signer: ChunkSigner | undefined) {
    this.#sent = sent;
    this.#fields = fields;
    this.#payload = payload;
    this.#signer = signer;
    this.plainBytes = lengthOf(fields, payload);
  }

  get checksum(): ChecksumAlgorithm | undefined {
    return this.#judged().checksum;
  }

  get announced(): readonly ChecksumAlgorithm[] {
    const { values, checksum } = this.#judged();
    const algorithms = [...values.keys()];
    return checksum === undefined || values.has(checksum) ? algorithms : [...algorithms, checksum];
  }

  promised(): Digests {
    const { values, checksum } = this.#judged();
    if (checksum === undefined || this.#trailerValue === undefined) return values;
    return new Map(values).set(checksum, this.#trailerValue);
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    const payload = this.#payload;
    if (payload.kind === "chunked") return this.#chunked(payload.trailers);
    return payload.kind === "hashed" ? this.#hashed(payload.sha256) : this.#plain();
  }

  /** Read when first asked for: a bad header is told only to those who may do what they ask for. */
  #judged(): Announced {
    if (this.#announced !== undefined) return this.#announced;
    const announced = announcedBy(this.#fields);
    if (announced.trailer !== undefined && !(this.#payload.kind === "chunked" && this.#payload.trailers)) {
      throw new Failure(
        "InvalidRequest",
        "x-amz-trailer announces a trailer, and x-amz-content-sha256 says that none comes",
      );
    }
    this.#announced = announced;
    return announced;
  }

  async *#plain(): AsyncGenerator<Uint8Array, void> {
    let bytes = 0;
    for await (const block of this.#sent) {
      bytes += block.length;
      this.#checkNotOver(bytes);
      yield block;
    }
    this.#checkWhole(bytes);
  }

  async *#hashed(sha256: string): AsyncGenerator<Uint8Array, void> {
    let bytes = 0;
    let digest: string | undefined;
    let running: Hash | undefined;
    for await (const block of this.#sent) {
      bytes += block.length;
      this.#checkNotOver(bytes);
      if (running === undefined && bytes === this.plainBytes) {
        digest = hash("sha256", block, "hex");
      } else {
        running ??= createHash("sha256");
        running.update(block);
      }
      yield block;
    }
    this.#checkWhole(bytes);
    digest ??= running === undefined ? hash("sha256", "", "hex") : running.digest("hex");
    if (digest !== sha256) {
      throw new Failure(
        "XAmzContentSHA256Mismatch",
        "The body does not have the hash that x-amz-content-sha256 states",
      );
    }
  }

  async *#chunked(trailers: boolean): AsyncGenerator<Uint8Array, void> {
    const { checksum, trailer } = this.#judged();
    const reader = new ChunkReader({
      plainBytes: this.plainBytes,
      signer: this.#signer,
      trailers: trailers ? (trailer === undefined ? [] : [trailer]) : undefined,
    });
    for await (const block of this.#sent) {
      for (const piece of reader.push(block)) yield piece;
    }
    const values = reader.end();
    if (trailer === undefined || checksum === undefined) return;
    this.#trailerValue = digestBytes(checksum, values.get(trailer) ?? "", `The trailer ${trailer}`);
  }

  #checkNotOver(bytes: number): void {
    if (this.plainBytes !== undefined && bytes > this.plainBytes) throw incomplete("more", this.plainBytes);
  }

  #checkWhole(bytes: number): void {
    if (this.plainBytes !== undefined && bytes < this.plainBytes) throw incomplete("fewer", this.plainBytes);
  }
}

function incomplete(what: "more" | "fewer", plainBytes: number): Failure {
  return new Failure("IncompleteBody", `The body has ${what} bytes than the ${plainBytes} that the request states`);
}

function lengthOf(fields: Fields, payload: Payload): number | undefined {
  const name = payload.kind === "chunked" ? "x-amz-decoded-content-length" : "content-length";
  const text = fields.get(name);
  if (text === undefined) return undefined;
  const bytes = wholeNumber(text.trim());
  if (bytes === undefined) throw new Failure("InvalidArgument", `The header ${name} must be a number of bytes`);
  return bytes;
}
