/**
 * Plaintext on its way out: the stored bytes of a range, opened as they come, across all the parts that it touches.
 * Nothing leaves before its tag has held, nor at all if the stored bytes end early or go on.
 */
import { isPlaintextHead } from "../../envelope/envelope.ts";
import { EnvelopeError } from "../../envelope/failure.ts";
import { parseHead } from "../../envelope/head.ts";
import { type PlacedPart, partsOfRange } from "../../envelope/parts.ts";
import { createOpener, type SegmentOpener } from "../../envelope/segment.ts";
import { storedRange } from "../../envelope/sizes.ts";
import type { Storage } from "../storage/storage.ts";
import type { OpenedBody } from "./bodies.ts";

/** The stored bytes of one part that a range needs, and what opens them. */
interface Span {
  readonly storedFromByte: number;
  readonly storedToByte: number;
  open(): SpanReader;
}

interface SpanReader {
  push(stored: Uint8Array): Uint8Array[];
  end(): void;
}

/** Plaintext [fromByte, toByte), a list of slices for each block that the storage gives; never an empty list. */
export async function* readPlaintext(
  storage: Storage,
  body: OpenedBody,
  fromByte: number,
  toByte: number,
  signal: AbortSignal,
): AsyncGenerator<readonly Uint8Array[], void, undefined> {
  const spans = spansOf(body, fromByte, toByte);
  const [first, last] = [spans[0], spans.at(-1)];
  if (first === undefined || last === undefined) return;
  let next = 0;
  let reader: SpanReader | undefined;
  let leftBytes = 0;
  for await (const block of storage.read(body.object.entry, first.storedFromByte, last.storedToByte, signal)) {
    const plain: Uint8Array[] = [];
    for (let at = 0; at < block.length; ) {
      if (reader === undefined) {
        const span = spans[next];
        if (span === undefined) throw new EnvelopeError("Tampered", "Bytes follow the end of the body");
        next += 1;
        leftBytes = span.storedToByte - span.storedFromByte;
        reader = span.open();
      }
      const slice = block.subarray(at, at + leftBytes);
      for (const opened of reader.push(slice)) plain.push(opened);
      at += slice.length;
      leftBytes -= slice.length;
      if (leftBytes === 0) {
        reader.end();
        reader = undefined;
      }
    }
    if (plain.length > 0) yield plain;
  }
  if (reader !== undefined || next < spans.length) throw new EnvelopeError("Tampered", "The body ends before its end");
}

/** One behind the other in the stored body, without a gap. */
function spansOf(body: OpenedBody, fromByte: number, toByte: number): Span[] {
  return partsOfRange(body.parts, fromByte, toByte)
    .map((part) => {
      const from = Math.max(0, fromByte - part.plainFromByte);
      const to = Math.min(part.entry.plainBytes, toByte - part.plainFromByte);
      return isPlaintextHead(part.entry.head) ? plaintextSpan(part, from, to) : sealedSpan(body, part, from, to);
    })
    .filter((span) => span.storedFromByte < span.storedToByte);
}

function sealedSpan(body: OpenedBody, part: PlacedPart, from: number, to: number): Span {
  const { head, plainBytes } = part.entry;
  const { chunkLog2 } = parseHead(head, "the body");
  const range = storedRange(plainBytes, chunkLog2, from, to);
  return {
    storedFromByte: part.storedFromByte + range.storedFromByte,
    storedToByte: part.storedFromByte + range.storedToByte,
    open: () => openerOf(body, part).read(from, to),
  };
}

/** Made once for a body in one piece, as long as its envelope is remembered: its keys follow from that alone. */
function openerOf({ object, dataKey, parts }: OpenedBody, part: PlacedPart): SegmentOpener {
  const { bodyId, shared } = object;
  if (parts.length === 1 && shared.opener !== undefined) return shared.opener;
  const { head, plainBytes } = part.entry;
  const opener = createOpener({ head, dataKey, bodyId, plainBytes, storedBytes: part.storedBytes });
  if (parts.length === 1) shared.opener = opener;
  return opener;
}

/** Blocks are the storage's again at its next step, so what passes as it is has to be copied. */
function plaintextSpan(part: PlacedPart, from: number, to: number): Span {
  return {
    storedFromByte: part.storedFromByte + from,
    storedToByte: part.storedFromByte + to,
    open: () => ({ push: (stored) => [Uint8Array.from(stored)], end: () => undefined }),
  };
}
