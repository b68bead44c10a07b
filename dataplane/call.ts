/** One request by any protocol, or one step of a job: all that the inside needs to know of it, and its body. */
import type { Facts, Principal } from "./access/access.ts";
import type { Snapshot } from "./snapshot.ts";

/** Made once, passed first, never stored, but in the table of what is in flight, from which it goes when it ends. */
export interface Call {
  /** x-amz-request-id: in the answer, the log and the audit line. */
  readonly id: string;
  readonly operation: string;
  readonly principal: Principal;
  /** One configuration for the whole life of the call. */
  readonly snapshot: Snapshot;
  readonly facts: Facts;
  /** Client gone, deadline passed, shutting down. One a request, never combined. */
  readonly signal: AbortSignal;
  readonly startedMs: number;
  /** What the call works on, for progress and the audit line; set when known. */
  bucket: string | undefined;
  name: string | undefined;
  /** Plaintext bytes moved so far: written by the body loop, read by /operations. */
  doneBytes: number;
  totalBytes: number | undefined;
  /** Sets memory aside for so many bytes of an answer, of which the call holds but a part at once; until the call ends.
   *  Throws SlowDown where there is none left. A job has no need to ask. */
  reserve?(bytes: number): void;
  /** Counts what was sent of an answer; a promise, until more may be sent, where others wait for their turn. */
  sent?(bytes: number): Promise<void> | undefined;
}

/** The name that log and audit line give a principal: never a secret. */
export function principalName(principal: Principal): string {
  if (principal.kind === "credential") return principal.credential.configured.accessKeyId;
  return principal.kind === "job" ? `job:${principal.job}` : "anonymous";
}

export type ChecksumAlgorithm = "CRC32" | "CRC32C" | "CRC64NVME" | "SHA1" | "SHA256" | "SHA512" | "MD5";

/** Raw digest bytes by algorithm. */
export type Digests = ReadonlyMap<ChecksumAlgorithm, Uint8Array>;

/**
 * Plaintext on its way in, decoded. If it ends early, runs over or breaks its signature, the iteration throws a Failure,
 * and nothing may be stored. Asking for the first block is what lets an `Expect: 100-continue` client send.
 */
export interface Body extends AsyncIterable<Uint8Array> {
  /** undefined only where the protocol allows an unknown length. */
  readonly plainBytes: number | undefined;
  /** Which digests the client announced, in headers or as trailers, known before the first block. */
  readonly announced: readonly ChecksumAlgorithm[];
  /** Whoever takes its blocks may give back their memory when it has used them: nobody else will look at them. */
  readonly disposable?: true;
  /** The announced digests; those of trailers are there once the iteration has ended. */
  promised(): Digests;
}
