/**
 * The envelope (FORMAT.md §5): a small segment under the bucket key that holds the data key and all that is known of an
 * object, bound to the place where it is stored. When to write one, and which key to use, is left to the callers.
 */
import { ByteWriter, sameBytes } from "./bytes.ts";
import { ID_BYTES } from "./datakey.ts";
import { EnvelopeError, insist } from "./failure.ts";
import { type Fields, type ReadFields, readFields, writeFields } from "./fields.ts";
import { type Key, parseHead, type Suite, suiteByte, suiteOf } from "./head.ts";
import { CHUNK_LOG2_MAX, CHUNK_LOG2_MIN, HEAD_BYTES } from "./sizes.ts";
import { openSmall, sealSmallInto, smallSealedBytes } from "./small.ts";

export { ZERO_ID } from "./datakey.ts";
export type { Checksum, Etag, Fields, ReadFields, SealedKey, Shown } from "./fields.ts";

/**
 * Where an envelope is stored. Never read from it: the caller says it, and an envelope of any other place does not open.
 * `versionId` is empty in a bucket without versions, and where the storage names versions itself.
 */
export type Place =
  | { readonly kind: "object" | "marker"; readonly objectName: string; readonly versionId: string }
  | { readonly kind: "upload"; readonly objectName: string; readonly uploadId: string }
  | { readonly kind: "part"; readonly uploadId: string; readonly partNumber: number }
  | { readonly kind: "settings" };

export type Kind = Place["kind"];

/** What each kind must hold. An `object` also has `bodyHead` and `sizeBytes`, unless they are in a footer. */
interface Needed {
  object: "key" | "modifiedMs" | "shown";
  marker: "modifiedMs";
  upload: "key" | "bodyHead" | "modifiedMs" | "shown";
  part: "bodyHead" | "sizeBytes" | "etag";
  settings: "settings";
}

type With<F extends Fields, Name extends keyof Fields> = F & { readonly [N in Name]-?: NonNullable<F[N]> };

/** What an envelope of that kind is made of, and what comes out of it. */
export type Contents<K extends Kind> = K extends Kind ? With<Fields, Needed[K]> : never;
export type ReadContents<K extends Kind> = K extends Kind ? With<ReadFields, Needed[K]> : never;

/** The suite and chunk size that the parts of an upload are sealed with; undefined: they are plaintext. */
export type PartShape = { readonly suite: Suite; readonly chunkLog2: number } | undefined;

const NEEDED: { readonly [K in Kind]: readonly Needed[K][] } = {
  object: ["key", "modifiedMs", "shown"],
  marker: ["modifiedMs"],
  upload: ["key", "bodyHead", "modifiedMs", "shown"],
  part: ["bodyHead", "sizeBytes", "etag"],
  settings: ["settings"],
};

const PREFIX_BYTES = 4 + 2 * ID_BYTES;
const VERSION = 1;
const WHAT = "the envelope";
const ZERO_HEAD: Uint8Array = new Uint8Array(HEAD_BYTES);

/**
 * A new envelope, with a new salt: 220 to 600 bytes as a rule, in memory of its own. `bodyId` is the body's random name,
 * `ZERO_ID` for a marker or settings. `Malformed` if the contents do not fit the kind or each other.
 */
export function sealEnvelope<K extends Kind>(
  place: Place & { readonly kind: K },
  contents: Contents<K>,
  bucketKeyId: Uint8Array,
  bodyId: Uint8Array,
  bucketKey: Key,
): Uint8Array {
  insist(bucketKeyId.length === ID_BYTES && bodyId.length === ID_BYTES, "an id has 16 bytes");
  checkContents(place, contents);
  const plain = new ByteWriter();
  try {
    writeFields(plain, contents);
    const envelope = Buffer.allocUnsafeSlow(PREFIX_BYTES + smallSealedBytes(plain.length));
    envelope[0] = 0x4f; // O
    envelope[1] = 0x45; // E
    envelope[2] = VERSION;
    envelope[3] = 0;
    envelope.set(bucketKeyId, 4);
    envelope.set(bodyId, 4 + ID_BYTES);
    const context = [envelope.subarray(0, PREFIX_BYTES), placeContext(place)];
    sealSmallInto(envelope, PREFIX_BYTES, "envelope", bucketKey, context, plain.written());
    return envelope;
  } finally {
    plain.erase();
  }
}

/**
 * What is in an envelope that is stored at that place. `WrongKey` if it was sealed for another place or under another
 * bucket key, `Tampered` if it was changed. Byte fields are views of one buffer that belongs to the caller.
 */
export function openEnvelope<K extends Kind>(
  envelope: Uint8Array,
  place: Place & { readonly kind: K },
  bucketKey: Key,
): ReadContents<K> {
  checkPrefix(envelope);
  const context = [envelope.subarray(0, PREFIX_BYTES), placeContext(place)];
  const fields = readFields(openSmall("envelope", bucketKey, context, envelope.subarray(PREFIX_BYTES)), WHAT);
  checkContents(place, fields);
  return fields as ReadContents<K>;
}

/** The id of the bucket key that an envelope names: without any key, so trusted only once it has opened. A view. */
export function bucketKeyIdOf(envelope: Uint8Array): Uint8Array {
  checkPrefix(envelope);
  return envelope.subarray(4, 4 + ID_BYTES);
}

/** The id of its body, `ZERO_ID` if there is none; trusted only once the envelope has opened. A view. */
export function bodyIdOf(envelope: Uint8Array): Uint8Array {
  checkPrefix(envelope);
  return envelope.subarray(4 + ID_BYTES, PREFIX_BYTES);
}

/** What stands for the head where a body, or a part, is plaintext. */
export function isPlaintextHead(head: Uint8Array): boolean {
  // A head begins with a letter.
  return head[0] === 0 && sameBytes(head, ZERO_HEAD);
}

/** `bodyHead` of an upload's envelope. */
export function encodePartShape(shape: PartShape): Uint8Array {
  const head = new Uint8Array(HEAD_BYTES);
  if (shape !== undefined) {
    head[5] = suiteByte(shape.suite);
    head[6] = shape.chunkLog2;
  }
  return head;
}

/** What the `bodyHead` of an upload says of its parts. */
export function parsePartShape(head: Uint8Array): PartShape {
  if (isPlaintextHead(head)) {
    return undefined;
  }
  const suite = suiteOf(head[5] as number);
  const chunkLog2 = head[6] as number;
  const whole = sameBytes(head, encodePartShape({ suite, chunkLog2 }));
  if (!whole || chunkLog2 < CHUNK_LOG2_MIN || chunkLog2 > CHUNK_LOG2_MAX) {
    throw malformed("the shape of an upload's parts is not one");
  }
  return { suite, chunkLog2 };
}

function checkPrefix(envelope: Uint8Array): void {
  if (envelope.length < PREFIX_BYTES || envelope[0] !== 0x4f || envelope[1] !== 0x45 || envelope[3] !== 0) {
    throw malformed("it is cut off, or none");
  }
  if (envelope[2] !== VERSION) {
    throw new EnvelopeError("Unsupported", `Version ${envelope[2]} of ${WHAT} is unknown`);
  }
}

/** CTX of FORMAT.md §5. */
function placeContext(place: Place): Uint8Array {
  const writer = new ByteWriter(256);
  writer.text(place.kind);
  switch (place.kind) {
    case "object":
    case "marker":
      writer.text(place.objectName);
      writer.text(place.versionId);
      break;
    case "upload":
      writer.text(place.objectName);
      writer.text(place.uploadId);
      break;
    case "part":
      writer.text(place.uploadId);
      writer.be32(4);
      writer.be32(place.partNumber);
      break;
    case "settings":
      writer.be32(0);
      writer.be32(0);
      break;
  }
  return writer.written();
}

/** FORMAT.md §5: what a kind needs, and which fields must agree. The same for what is written and what was read. */
function checkContents(place: Place, fields: Fields): void {
  for (const name of NEEDED[place.kind]) {
    if (fields[name] === undefined) {
      throw malformed(`it is of kind "${place.kind}" and has no ${name}`);
    }
  }
  if (fields.parts !== undefined) {
    throw malformed("it has a table of parts");
  }
  const { bodyHead, key } = fields;
  if (bodyHead === undefined) {
    return;
  }
  const plaintext = isPlaintextHead(bodyHead);
  if (place.kind === "upload") {
    parsePartShape(bodyHead);
  } else if (!plaintext) {
    checkBodyHead(place, bodyHead, key?.mode === "plaintext");
  }
  if (place.kind !== "part" && plaintext && key?.mode !== "plaintext") {
    throw malformed("its body would be plaintext, but its data key is for a sealed one");
  }
  if (place.kind === "upload" && !plaintext && key?.mode === "plaintext") {
    throw malformed("its parts would be sealed, but its data key is for plaintext");
  }
  if (place.kind === "object" && fields.sizeBytes === undefined) {
    throw malformed("it names a body and no size");
  }
}

/** A body that is plaintext has no head of its own; the part list of one is sealed as always. */
function checkBodyHead(place: Place, bodyHead: Uint8Array, plaintextBody: boolean): void {
  const head = parseHead(bodyHead, "the body");
  const fitsPlace =
    place.kind === "part"
      ? head.use === "body" && head.partNumber === place.partNumber
      : head.use === "part-list" || (head.use === "body" && !plaintextBody);
  if (!fitsPlace) {
    throw malformed("the head of its body is that of something else");
  }
}

function malformed(why: string): EnvelopeError {
  return new EnvelopeError("Malformed", `Cannot use ${WHAT}: ${why}`);
}
