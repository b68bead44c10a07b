// What the store was asked to move, by its own count: a client that says "nothing to do" is believed if this stands still.

import type { Store } from "./harness.ts";

const MOVES = new Set([
  "GetObject",
  "PutObject",
  "CreateMultipartUpload",
  "UploadPart",
  "CompleteMultipartUpload",
  "CopyObject",
  "UploadPartCopy",
  "DeleteObject",
  "DeleteObjects",
]);

/** How often each operation that moves or changes objects was asked for over S3, refused or not. */
export async function movesOf(store: Store): Promise<Readonly<Record<string, number>>> {
  const text = await (await fetch(`${store.urls.admin}/metrics`)).text();
  const moves: Record<string, number> = {};
  for (const [, operation = "", count] of text.matchAll(
    /^coffer_requests_total\{protocol="s3",operation="(\w+)",status="\d+"\} (\d+)$/gm,
  )) {
    if (MOVES.has(operation)) moves[operation] = (moves[operation] ?? 0) + Number(count);
  }
  return moves;
}
