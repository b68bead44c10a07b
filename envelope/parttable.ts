/** The table of parts in a part list (FORMAT.md §8): what each part is, in the order of the body. */
import type { ByteReader, ByteWriter } from "./bytes.ts";
import { CHECKSUM_BYTES, type ChecksumAlgorithm, checksumAlgorithmOf, checksumByte } from "./checksums.ts";
import { EnvelopeError, insist } from "./failure.ts";
import { HEAD_BYTES } from "./sizes.ts";

export interface PartEntry {
  /** Bytes 0 … 31 of the part's segment; all zero where the parts are plaintext. */
  readonly head: Uint8Array;
  readonly plainBytes: number;
  /** 16 bytes. */
  readonly etag: Uint8Array;
  /** By the table's algorithm; empty if it has none. */
  readonly checksum: Uint8Array;
}

export interface PartTable {
  readonly checksumAlgorithm: ChecksumAlgorithm | undefined;
  readonly entries: readonly PartEntry[];
}

const ETAG_BYTES = 16;

export function writePartTable(writer: ByteWriter, table: PartTable): void {
  const algorithm = table.checksumAlgorithm;
  const checksumBytes = algorithm === undefined ? 0 : CHECKSUM_BYTES[algorithm];
  writer.u8(algorithm === undefined ? 0 : checksumByte(algorithm));
  writer.u8(checksumBytes);
  writer.be16(table.entries.length);
  for (const part of table.entries) {
    insist(Number.isSafeInteger(part.plainBytes) && part.plainBytes >= 0, "a part has a length");
    writer.fixed(part.head, HEAD_BYTES);
    writer.be48(part.plainBytes);
    writer.fixed(part.etag, ETAG_BYTES);
    writer.fixed(part.checksum, checksumBytes);
  }
}

export function readPartTable(reader: ByteReader): PartTable {
  const algorithmByte = reader.u8();
  const checksumAlgorithm = algorithmByte === 0 ? undefined : checksumAlgorithmOf(algorithmByte);
  const checksumBytes = reader.u8();
  if (checksumBytes !== (checksumAlgorithm === undefined ? 0 : CHECKSUM_BYTES[checksumAlgorithm])) {
    throw new EnvelopeError("Malformed", "The checksums of a part list have another length than their algorithm");
  }
  const count = reader.be16();
  const entries: PartEntry[] = [];
  for (let index = 0; index < count; index += 1) {
    entries.push({
      head: reader.take(HEAD_BYTES),
      plainBytes: reader.be48(),
      etag: reader.take(ETAG_BYTES),
      checksum: reader.take(checksumBytes),
    });
  }
  return { checksumAlgorithm, entries };
}
