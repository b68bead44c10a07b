/* The port behind which bodies, envelopes and small documents are kept. No meaning of S3 lives here and no key:
 * all that comes back is authenticated above. Adapters: memory.ts, filesystem/; each passes contract/. */

/** Names sort by their UTF-8 bytes, never by UTF-16 units. They are well-formed strings: what is not UTF-8 is refused above. */
export interface ObjectRef {
  readonly bucket: string;
  readonly name: string;
  /** Absent: the current version. Storages without versions know only the version "". */
  readonly version?: string | undefined;
}

/** `uploadId` is chosen above, random; it is unique together with bucket and name. */
export interface UploadRef {
  readonly bucket: string;
  readonly name: string;
  readonly uploadId: string;
}

/** An upload as it was found: what is done to it is "changed" if its state is another by now. */
export interface FoundUpload extends UploadRef {
  readonly state: Uint8Array;
}

/** `partNumber` is 1 … 10,000. */
export interface PartRef extends UploadRef {
  readonly partNumber: number;
}

/** Names one state of body and envelope, or of a document. Opaque, never used again for another state. */
export type Tag = string;

/** The one condition, decided above on what was found, then held by its tag until the commit. */
export type Expect = "absent" | Tag;

export interface Entry {
  readonly ref: ObjectRef;
  /** The version that storage gave it; "" where there are none. */
  readonly version: string;
  readonly tag: Tag;
  /** A delete marker: it has no body. */
  readonly marker: boolean;
  readonly storedBytes: number;
  readonly modifiedMs: number;
  /** Missing only in listings of a storage whose trait `listsEnvelopes` is false. */
  readonly envelope: Uint8Array | undefined;
}

export interface Part {
  readonly partNumber: number;
  readonly tag: Tag;
  readonly storedBytes: number;
  readonly modifiedMs: number;
  readonly envelope: Uint8Array;
}

/** An upload that is neither completed nor aborted. */
export interface Upload extends UploadRef {
  readonly startedMs: number;
}

export interface UploadState {
  readonly state: Uint8Array;
  readonly startedMs: number;
  /** What `complete` made, kept for a day: from then on the upload takes no part and no abort. */
  readonly completed: Entry | undefined;
}

/** Where a listing goes on: behind that name, behind all names that begin with it ("prefix"), or, in a listing of
 *  uploads, behind that one upload of the name. A plain value: what is handed to clients is made of it above. */
export type After =
  | { readonly skip: "name"; readonly name: string }
  | { readonly skip: "prefix"; readonly name: string }
  | { readonly skip: "upload"; readonly name: string; readonly uploadId: string };

export interface ListQuery {
  /** "" for all. */
  readonly prefix: string;
  /** What follows the prefix up to and with the first delimiter becomes one common prefix. "" counts as none. */
  readonly delimiter: string | undefined;
  readonly after: After | undefined;
  /** Of names and common prefixes together; 0 gives an empty page without `next`. */
  readonly limit: number;
  /** All versions and markers, newest first within a name: "unsupported" where there are none. */
  readonly versions?: boolean | undefined;
}

/** `items` and `prefixes` are each ordered, share no name, and together hold at most `limit`. */
export interface Page<Item, Next = After> {
  readonly items: readonly Item[];
  readonly prefixes: readonly string[];
  /** Set exactly if something would follow. */
  readonly next: Next | undefined;
}

export interface Document {
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly tag: Tag;
}

/** Seals when asked, because size, ETag and checksums are known only at the end, and some storages must send the
 *  envelope first. Each commit asks anew, either for `whole()`, or for `early()` and at the end for `tail()`, which
 *  brings what `early()` lacked. A tail is opaque and never changes. */
export interface EnvelopeSource {
  whole(): { envelope: Uint8Array; tail: Uint8Array | undefined };
  early(): Uint8Array;
  tail(): Uint8Array;
}

/** Write, then commit or discard; one of the two must come. Small bodies end as one index write, large ones as a file
 *  and one index write: the caller cannot tell. The signal given to its maker rules write() and commit(). */
export interface Draft<Result> {
  /** Takes the buffers as they are, in order; they are the storage's from here on. Those that are alone in their memory
   *  may be empty once they have been written. A promise means full: await it before the next write. */
  write(buffers: readonly Uint8Array[]): Promise<void> | undefined;
  /** Whole, durable and visible with its envelope, or not at all. "changed" leaves the draft as it was: find, judge
   *  again, commit again. Once the index has been asked the signal is no longer looked at. */
  commit(expect?: Expect): Promise<Result>;
  /** Safe at any time, also after a commit, whatever came of it; never rejects. */
  discard(): Promise<void>;
}

/** Read by objects/ and jobs/, so that they need not know which storage it is. */
export interface Traits {
  /** The least that a part but the last may have. */
  readonly partBytesMin: number;
  readonly listsEnvelopes: boolean;
  /** The storage names versions itself, so an envelope cannot bind the name. */
  readonly namesVersions: boolean;
  /** One process at a time owns it. */
  readonly exclusive: boolean;
  /** `update` leaves `modifiedMs`. */
  readonly updateKeepsTime: boolean;
}

export interface Health {
  /** Commits are taken. A full disk leaves this true: removing and updating still work. */
  readonly writable: boolean;
  /** For people: why nothing can be written, or why no body is taken. */
  readonly reason: string | undefined;
}

/** What check() found in one of the two directions. `where` names an object, an upload's part or a body. */
export interface Finding {
  readonly kind: "record-without-body" | "body-without-record";
  readonly where: string;
}

/** Trusted for availability only. It retries transient faults itself. What resolved is durable; a rejection never
 *  proves that nothing was stored. Rejections are StorageError, or the signal's reason. "no-bucket" wherever the bucket
 *  does not exist. What cannot be done is refused with "unsupported", never in silence. After a failed commit of the
 *  index all writes are refused ("broken") until the index has proven itself again; reads go on. */
export interface Storage {
  readonly traits: Traits;

  /** Repeatable. */
  createBucket(bucket: string, signal: AbortSignal): Promise<void>;
  setVersioning(bucket: string, state: "enabled" | "suspended", signal: AbortSignal): Promise<void>;
  /** "not-empty" while it holds an object, judged in one step with concurrent commits; its open uploads end with it. */
  removeBucket(bucket: string, signal: AbortSignal): Promise<void>;

  /** undefined only if absence is proven: every doubt rejects. Without a version: the current one. */
  find(ref: ObjectRef, signal: AbortSignal): Promise<Entry | undefined>;
  /** Ordered by the bytes of names. Common prefixes are sought past, never read through. */
  list(bucket: string, query: ListQuery, signal: AbortSignal): Promise<Page<Entry>>;
  /** Stored bytes [fromByte, toByte) of exactly that entry, over all its parts without their tail, or "changed" before
   *  the first block. A body that is missing or too short is "damaged", never a clean end. A block is the storage's
   *  again at the next step. What was begun goes on when the object is replaced or removed. End the iteration. */
  read(entry: Entry, fromByte: number, toByte: number, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** What `whole().tail` or `tail()` gave with the body; empty if there was none. "changed" as in read. */
  tail(entry: Entry, signal: AbortSignal): Promise<Uint8Array>;
  /** Begins a body of unknown length. It ends in this very bucket, not in a later one of the same name ("no-bucket"),
   *  since the envelope is sealed under a key of this one. Touches no disk and no network while the body is small
   *  enough to be stored in one step. Throws at once ("full", "broken") when no body would be taken, so that a caller can refuse it unread. */
  draft(ref: ObjectRef, source: EnvelopeSource, signal: AbortSignal): Draft<Entry>;
  /** The same body and tail, not copied, under another envelope; "changed" if `from` is gone; "unsupported": the
   *  caller streams. */
  copy(
    from: Entry,
    to: ObjectRef,
    envelope: Uint8Array,
    expect: Expect | undefined,
    signal: AbortSignal,
  ): Promise<Entry>;
  /** Another envelope for exactly that state, else "changed"; body, tail and version stay. */
  update(entry: Entry, envelope: Uint8Array, signal: AbortSignal): Promise<Entry>;
  /** A delete marker. */
  mark(ref: ObjectRef, envelope: Uint8Array, signal: AbortSignal): Promise<Entry>;
  /** For good. What is absent is removed, unless a tag was expected ("changed"). */
  remove(ref: ObjectRef, expect: Expect | undefined, signal: AbortSignal): Promise<void>;

  /** "exists" if that upload is there already. */
  createUpload(upload: UploadRef, state: Uint8Array, source: EnvelopeSource, signal: AbortSignal): Promise<void>;
  uploadState(upload: UploadRef, signal: AbortSignal): Promise<UploadState | undefined>;
  /** Another state for exactly that one; parts and start stay. "no-upload" if it is not open. */
  updateUpload(upload: FoundUpload, state: Uint8Array, signal: AbortSignal): Promise<void>;
  /** The last commit wins, its bytes with its own envelope, also in a race. commit() is "no-upload" once the upload
   *  has ended. */
  part(upload: UploadRef, partNumber: number, source: EnvelopeSource, signal: AbortSignal): Draft<Part>;
  /** Ascending, those above `after`; "no-upload" if it is not open. */
  parts(upload: UploadRef, after: number, limit: number, signal: AbortSignal): Promise<Page<Part, number>>;
  /** Open ones, by name and upload id. */
  uploads(bucket: string, query: ListQuery, signal: AbortSignal): Promise<Page<Upload>>;
  /** Body = the parts in their order, not copied. Ends the upload and keeps its Entry for a day, in the same commit.
   *  Repeated: answers that Entry. "changed": a part is not the one listed, the state is not the one found, or `expect`
   *  does not hold. */
  complete(
    upload: UploadRef | FoundUpload,
    parts: readonly Part[],
    source: EnvelopeSource,
    expect: Expect | undefined,
    signal: AbortSignal,
  ): Promise<Entry>;
  /** "no-upload" if it is not open. */
  abort(upload: UploadRef, signal: AbortSignal): Promise<void>;

  /** Small things with compare-and-set. Paths are apart from object names and need no bucket. */
  document(path: string, signal: AbortSignal): Promise<Document | undefined>;
  /** Those whose path begins with `prefix` and follows `after`, ordered by bytes. */
  documents(prefix: string, after: string, limit: number, signal: AbortSignal): Promise<Page<Document, string>>;
  /** "changed" if `expect` does not hold. */
  putDocument(path: string, bytes: Uint8Array, expect: Expect, signal: AbortSignal): Promise<Tag>;
  removeDocument(path: string, expect: Tag, signal: AbortSignal): Promise<void>;

  health(): Health;
  /** Compares records with bodies in both directions and repairs nothing. Reads all records: for a job, or a person. */
  check(signal: AbortSignal): Promise<readonly Finding[]>;
  /** Finishes what was begun, then frees everything. */
  close(): Promise<void>;
}

export type StorageCode =
  | "no-bucket"
  | "exists"
  | "not-empty"
  | "changed"
  | "no-upload"
  | "too-large"
  | "full"
  | "unreachable"
  | "unsupported"
  | "damaged"
  | "broken";

/** All that a Storage rejects with, beside an AbortSignal's reason. */
export class StorageError extends Error {
  readonly code: StorageCode;

  constructor(code: StorageCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "StorageError";
    this.code = code;
  }
}
