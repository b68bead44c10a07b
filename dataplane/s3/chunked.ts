/**
 * Takes `aws-chunked` apart as it comes: blocks cut anywhere go in, pieces of the plaintext go out, views of what came.
 * Holds no chunk. Each chunk's signature is verified as the chunk ends, that of the trailers at the end of all.
 */
import { createHash, type Hash, hash } from "node:crypto";
import { Failure } from "../failure.ts";
import { type ChunkSigner, sameSignature } from "./signing.ts";

const LINE_BYTES_MAX = 4096;
const TRAILER_BYTES_MAX = 16 * 1024;
const LF = 0x0a;

export interface ChunkedForm {
  /** The decoded length that the request states. */
  readonly plainBytes: number | undefined;
  /** undefined: chunks are not signed. */
  readonly signer: ChunkSigner | undefined;
  /** Lower-case names that must come behind the last chunk; undefined: the form has no trailers. */
  readonly trailers: readonly string[] | undefined;
}

type State = "header" | "data" | "after-data" | "trailers";

export class ChunkReader {
  readonly #form: ChunkedForm;
  #state: State = "header";
  #line = "";
  #plainBytes = 0;
  #chunkLeft = 0;
  #chunkSignature = "";
  #chunkHash: Hash | undefined;
  #trailerBytes = 0;
  readonly #trailers = new Map<string, string>();
  #trailersSignature: string | undefined;
  /** What the signature of the trailers covers. */
  #trailersText = "";
  #ended = false;

  constructor(form: ChunkedForm) {
    this.#form = form;
  }

  /** The pieces of plaintext in the next block that came. Take them all before the next push. */
  *push(block: Uint8Array): Generator<Uint8Array, void> {
    let at = 0;
    while (at < block.length) {
      if (this.#state === "data") {
        const end = Math.min(block.length, at + this.#chunkLeft);
        const piece = block.subarray(at, end);
        this.#take(piece);
        at = end;
        yield piece;
      } else {
        at = this.#readLine(block, at);
      }
    }
  }

  /** Everything has come: throws if it was not whole, else returns the trailers. */
  end(): ReadonlyMap<string, string> {
    const { plainBytes, trailers = [], signer } = this.#form;
    if (this.#state !== "trailers" || !this.#ended || this.#line !== "") {
      throw new Failure("IncompleteBody", "The body ended before its last chunk was whole");
    }
    if (plainBytes !== undefined && this.#plainBytes < plainBytes) {
      throw new Failure("IncompleteBody", `The body has fewer bytes than the ${plainBytes} that the request states`);
    }
    for (const name of trailers) {
      if (!this.#trailers.has(name)) {
        throw new Failure("MalformedTrailerError", `The trailer ${name} was announced and did not come`);
      }
    }
    if (signer !== undefined && this.#form.trailers !== undefined) {
      const expected = signer.trailers(hash("sha256", Buffer.from(this.#trailersText, "latin1"), "hex"));
      if (this.#trailersSignature === undefined) {
        throw new Failure("MalformedTrailerError", "The trailer x-amz-trailer-signature is missing");
      }
      if (!sameSignature(expected, this.#trailersSignature)) {
        throw new Failure("SignatureDoesNotMatch", "The signature of the trailers does not match");
      }
    }
    return this.#trailers;
  }

  #take(piece: Uint8Array): void {
    const whole = this.#chunkHash === undefined && piece.length === this.#chunkLeft;
    this.#chunkLeft -= piece.length;
    if (this.#form.signer !== undefined) {
      if (whole) {
        this.#verifyChunk(hash("sha256", piece, "hex"));
      } else {
        this.#chunkHash ??= createHash("sha256");
        this.#chunkHash.update(piece);
        if (this.#chunkLeft === 0) {
          this.#verifyChunk(this.#chunkHash.digest("hex"));
          this.#chunkHash = undefined;
        }
      }
    }
    if (this.#chunkLeft === 0) this.#state = "after-data";
  }

  #verifyChunk(sha256: string): void {
    const expected = this.#form.signer?.chunk(sha256);
    if (expected !== undefined && !sameSignature(expected, this.#chunkSignature)) {
      throw new Failure("SignatureDoesNotMatch", "The signature of a chunk does not match");
    }
  }

  /** Takes a line, or the part of it that came; returns where the rest of the block begins. */
  #readLine(block: Uint8Array, at: number): number {
    const found = block.indexOf(LF, at);
    const end = found < 0 ? block.length : found;
    if (this.#line.length + end - at > LINE_BYTES_MAX) {
      throw malformed(`a line has more than ${LINE_BYTES_MAX} bytes`);
    }
    this.#line += Buffer.from(block.buffer, block.byteOffset + at, end - at).toString("latin1");
    if (found < 0) return end;
    const line = this.#line;
    this.#line = "";
    if (this.#state === "header") this.#beginChunk(withoutReturn(line));
    else if (this.#state === "trailers") this.#takeTrailer(line);
    else if (line === "\r") this.#state = "header";
    else throw malformed("a chunk is longer than its header says");
    return end + 1;
  }

  #beginChunk(line: string): void {
    const { signer, plainBytes } = this.#form;
    const found = /^([0-9A-Fa-f]{1,13})(?:;chunk-signature=([0-9a-f]{64}))?$/.exec(line);
    if (found === null)
      throw malformed("a chunk's header is not a size in hex, with a signature where they are signed");
    const [, size = "", signature] = found;
    if ((signature === undefined) !== (signer === undefined)) {
      throw malformed(signer === undefined ? "an unsigned chunk has a signature" : "a chunk has no signature");
    }
    this.#chunkLeft = Number.parseInt(size, 16);
    this.#chunkSignature = signature ?? "";
    this.#plainBytes += this.#chunkLeft;
    if (plainBytes !== undefined && this.#plainBytes > plainBytes) {
      throw new Failure("IncompleteBody", `The body has more bytes than the ${plainBytes} that the request states`);
    }
    if (this.#chunkLeft > 0) {
      this.#state = "data";
      return;
    }
    this.#verifyChunk(hash("sha256", "", "hex"));
    this.#state = "trailers";
  }

  /** One ends at any LF, and empty lines between them are passed over: minio-go writes both. The last line is empty. */
  #takeTrailer(raw: string): void {
    this.#trailerBytes += raw.length + 1;
    if (this.#trailerBytes > TRAILER_BYTES_MAX) throw malformedTrailer("they are too long");
    const line = raw.endsWith("\r") ? raw.slice(0, -1) : raw;
    this.#ended = line === "";
    if (this.#ended) return;
    if (this.#form.trailers === undefined) throw malformed("something follows the last chunk");
    const colon = line.indexOf(":");
    if (colon < 1) throw malformedTrailer("a line is not a name and a value");
    const name = line.slice(0, colon).trim().toLowerCase();
    const value = line.slice(colon + 1).trim();
    if (this.#trailersSignature !== undefined) throw malformedTrailer("something follows their signature");
    if (name === "x-amz-trailer-signature" && this.#form.signer !== undefined) {
      this.#trailersSignature = value;
      return;
    }
    if (!this.#form.trailers.includes(name)) throw malformedTrailer("one came that x-amz-trailer does not announce");
    if (this.#trailers.has(name)) throw malformedTrailer("one came twice");
    this.#trailers.set(name, value);
    this.#trailersText += `${name}:${value}\n`;
  }
}

function withoutReturn(line: string): string {
  if (!line.endsWith("\r")) throw malformed("a chunk's header does not end with CR LF");
  return line.slice(0, -1);
}

function malformed(why: string): Failure {
  return new Failure("InvalidRequest", `The aws-chunked body is malformed: ${why}`);
}

function malformedTrailer(why: string): Failure {
  return new Failure("MalformedTrailerError", `The trailers of the body are malformed: ${why}`);
}
