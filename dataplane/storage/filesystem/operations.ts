/* What the main thread asks of the writer thread, as plain data. The bytes of an operation travel beside it, in the
 * order that its comment names. Each operation is judged and done inside one transaction that it shares with others. */

import type { Expect, StorageCode } from "../storage.ts";

export interface NameOf {
  readonly bucket: string;
  readonly name: string;
}

export interface UploadOf extends NameOf {
  readonly uploadId: string;
}

/** A body that stands in a file, or else the bytes that travel with the operation. */
export type BodyOf = "inline" | { readonly file: string; readonly storedBytes: number };

export type Operation =
  | { readonly does: "createBucket"; readonly bucket: string }
  | { readonly does: "removeBucket"; readonly bucket: string }
  /** envelope, tail, inline body */
  | (NameOf & { readonly does: "put"; readonly expect: Expect | undefined; readonly body: BodyOf })
  /** envelope. `files`: the links made of the source's files, in their order. */
  | (NameOf & {
      readonly does: "copy";
      readonly from: NameOf & { readonly tag: string };
      readonly files: readonly string[];
      readonly expect: Expect | undefined;
    })
  /** envelope */
  | (NameOf & { readonly does: "update"; readonly tag: string })
  | (NameOf & { readonly does: "remove"; readonly expect: Expect | undefined })
  /** state */
  | (UploadOf & { readonly does: "createUpload" })
  /** the state that it has, the one that it gets */
  | (UploadOf & { readonly does: "updateUpload" })
  /** envelope, nothing, inline body */
  | (UploadOf & {
      readonly does: "part";
      readonly partNumber: number;
      readonly expect: Expect | undefined;
      readonly body: BodyOf;
    })
  /** envelope, tail; `held`: the state that it must have */
  | (UploadOf & {
      readonly does: "complete";
      readonly held: boolean;
      readonly parts: readonly { readonly partNumber: number; readonly tag: string }[];
      readonly expect: Expect | undefined;
    })
  | (UploadOf & { readonly does: "abort" })
  /** bytes */
  | { readonly does: "putDocument"; readonly path: string; readonly expect: Expect }
  | { readonly does: "removeDocument"; readonly path: string; readonly expect: Expect }
  /** Files that are about to be made. */
  | { readonly does: "doom"; readonly files: readonly string[] }
  /** Files that are gone. */
  | { readonly does: "forget"; readonly files: readonly string[] }
  /** Turns a doomed list into doomed files. */
  | { readonly does: "shred"; readonly list: number }
  /** Completed uploads that ended before. */
  | { readonly does: "expire"; readonly beforeMs: number };

export type OperationOf<Does extends Operation["does"]> = Extract<Operation, { readonly does: Does }>;

/** What a commit made, or, of a repeated complete, what it had made. */
export interface Made {
  readonly tag: string;
  readonly modifiedMs: number;
  readonly storedBytes: number;
  readonly envelope: Uint8Array | undefined;
}

/** Files and lists to which nothing refers any more. */
export interface Ended {
  readonly files: readonly string[];
  readonly lists: readonly number[];
}

export type Answer =
  | { readonly refused: StorageCode; readonly message: string }
  | { readonly made: Made | undefined; readonly ended: Ended | undefined };

/** `spans`: start and length of each operation's bytes within `bytes`, one after the other. */
export interface Batch {
  readonly ask: "batch";
  readonly operations: readonly { readonly operation: Operation; readonly spans: readonly number[] }[];
  readonly bytes: Uint8Array;
  readonly nowMs: number;
}

export type Question = Batch | { readonly ask: "probe"; readonly value: number } | { readonly ask: "close" };

export type Reply =
  | { readonly reply: "answers"; readonly answers: readonly Answer[] }
  | { readonly reply: "failed"; readonly code: "full" | "broken"; readonly reason: string }
  | { readonly reply: "probed"; readonly reason: string | undefined };
