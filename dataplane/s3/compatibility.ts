/** Prints docs/s3-compatibility.md: what becomes of every operation of S3's model, by the table that serves them. */
import { OPERATIONS, type Operation, requestLineOf } from "./model.ts";
import { type Support, supportOf } from "./routes.ts";

const NOTES: Partial<Record<Operation, string>> = {
  CopyObject: "The body is shared, not copied, unless the copy needs another cipher. ETag and checksums stay.",
  CreateBucket: "By a self-service credential. Any location is accepted.",
  DeleteBucket: "By a self-service credential.",
  DeleteBucketEncryption: "Returns to the default. By a self-service credential.",
  DeleteObjects: "Needs Content-MD5 or a checksum, as a header or a trailer.",
  GetObject: "Ranges, part numbers and conditions.",
  HeadObject: "Ranges, part numbers and conditions.",
  PutBucketEncryption: "Chooses `AES256` or `aws:kms`. What holds already is accepted from everybody.",
  PutObject: "SSE-S3, SSE-KMS with a key id, a context and the bucket-key flag. SSE-C is refused.",
  UpdateObjectEncryption: "Seals the data key anew. The body is not touched.",
  UploadPartCopy: "The bytes are opened and sealed again.",
};

export function printCompatibility(): string {
  const of = (kind: Support["kind"]): readonly Operation[] =>
    OPERATIONS.filter((operation) => supportOf(operation).kind === kind);
  const [served, unset, refused] = [of("served"), of("unset"), of("refused")];
  return [
    "# S3 compatibility",
    "",
    "<!-- Printed by `node dataplane/s3/print.ts` from the table that serves requests. Do not edit. -->",
    "",
    `Every operation of S3's model is one of three kinds: ${served.length} are served, ${unset.length} answer as S3 does`,
    `when nothing is set, and ${refused.length} are refused with 501 NotImplemented. No request falls through to another`,
    "operation, and none is passed over in silence.",
    "",
    "## Served",
    "",
    table(
      ["operation", "request", ""],
      served.map((one) => [one, requestOf(one), NOTES[one] ?? ""]),
    ),
    "",
    "## Answered as when nothing is set",
    "",
    "Reads answer what S3 answers when nothing is set. Of the two writes only `x-amz-acl: private` is accepted, which",
    "is what everything has.",
    "",
    table(
      ["operation", "request"],
      unset.map((one) => [one, requestOf(one)]),
    ),
    "",
    "## Refused with 501",
    "",
    table(
      ["operation", "request", "why"],
      refused.map((one) => [one, requestOf(one), whyOf(one)]),
    ),
    "",
    "## Beside the operations",
    "",
    "- Signature V4, in the header or in the query, with signed and unsigned chunks and trailers. Any region name.",
    "- Path style always, and virtual-host style under a configured host name.",
    "- Checksums: CRC32, CRC32C, CRC64NVME, SHA-1, SHA-256, SHA-512 and MD5. Others are refused, never stored unverified.",
    "- ETags are the MD5 of the data with `x-amz-server-side-encryption: AES256` alone. Otherwise they are opaque and end",
    "  with `-1`, so that no client takes them for an MD5.",
    "- ACLs: `private` alone. Storage classes: `STANDARD` alone. Versions: none, and `null` names the object itself.",
    "",
  ].join("\n");
}

function whyOf(operation: Operation): string {
  const support = supportOf(operation);
  return support.kind === "refused" ? support.why : "";
}

function requestOf(operation: Operation): string {
  const [line = "", how] = requestLineOf(operation).split(" with ");
  return `\`${line}\`${how === undefined ? "" : ` with ${how}`}`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`.replaceAll("|  |", "| |");
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}
