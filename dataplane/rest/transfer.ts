/** Objects over REST, whole or in ranges: in, out, described, removed, listed. Their meaning is objects/'s. */
import type { Call } from "../call.ts";
import { Failure } from "../failure.ts";
import { sendBlocks, sendWhole } from "../http/stream.ts";
import type { Exchange } from "../http/table.ts";
import type { ListedObject, ObjectStore } from "../objects/objects.ts";
import type { ListingJson, ObjectJson } from "./api.ts";
import { checkLength } from "./body.ts";
import type { Target } from "./target.ts";
import { describeObject, getWanted, ifMatchOf, putWanted } from "./wanted.ts";

export type Objects = Pick<ObjectStore, "put" | "get" | "head" | "list" | "remove">;

interface Place {
  readonly bucket: string;
  readonly name: string;
}

export async function putObject(objects: Objects, call: Call, place: Place, exchange: Exchange<Target>): Promise<void> {
  checkLength(exchange.head);
  call.totalBytes = exchange.body.plainBytes;
  const info = await objects.put(call, place, exchange.body, putWanted(exchange.head));
  exchange.answer.setHeader("ETag", `"${info.etag}"`);
  sendWhole(exchange.answer, 200, "application/json", JSON.stringify(objectJson(info)));
}

export async function getObject(objects: Objects, call: Call, place: Place, exchange: Exchange<Target>): Promise<void> {
  const reading = await objects.get(call, place, getWanted(exchange.head));
  try {
    describeObject(exchange.answer, reading);
    await sendBlocks(call, exchange.answer, reading);
  } finally {
    await reading.close();
  }
}

export async function headObject(
  objects: Objects,
  call: Call,
  place: Place,
  exchange: Exchange<Target>,
): Promise<void> {
  const heading = await objects.head(call, place, getWanted(exchange.head));
  describeObject(exchange.answer, heading);
  exchange.answer.end();
}

export async function deleteObject(
  objects: Objects,
  call: Call,
  place: Place,
  { head, answer }: Exchange<Target>,
): Promise<void> {
  await objects.remove(call, place, { ifMatch: ifMatchOf(head) });
  answer.statusCode = 204;
  answer.end();
}

const PAGE_MAX = 1000;

export async function listObjects(
  objects: Objects,
  call: Call,
  bucket: string,
  { target, answer }: Exchange<Target>,
): Promise<void> {
  const prefix = target.query.get("prefix") ?? "";
  const delimiter = target.query.get("delimiter") ?? "";
  const limit = limitOf(target.query.get("limit"));
  const after = afterOf(target.query.get("cursor"));
  const page = await objects.list(call, bucket, { prefix, delimiter, after, limit });
  const json: ListingJson = {
    bucket,
    prefix,
    delimiter,
    objects: page.objects.map(objectJson),
    prefixes: page.prefixes,
    truncated: page.truncated,
    ...(page.truncated && page.last !== undefined ? { cursor: cursorOf(page.last) } : {}),
  };
  sendWhole(answer, 200, "application/json", JSON.stringify(json));
}

function objectJson({ ref, sizeBytes, etag, modifiedMs }: ListedObject): ObjectJson {
  return { name: ref.name, sizeBytes, etag, modified: new Date(modifiedMs).toISOString() };
}

function limitOf(text: string | undefined): number {
  if (text === undefined) return PAGE_MAX;
  if (!/^\d+$/.test(text)) throw new Failure("InvalidArgument", "limit must be a whole number");
  return Math.min(Number(text), PAGE_MAX);
}

/** Opaque to clients: the name behind which the next page begins. */
function cursorOf(last: string): string {
  return Buffer.from(JSON.stringify([1, last]), "utf8").toString("base64url");
}

function afterOf(cursor: string | undefined): string {
  if (cursor === undefined) return "";
  try {
    const value: unknown = JSON.parse(Buffer.from(cursor, "base64url").toString("utf8"));
    if (Array.isArray(value) && value.length === 2 && value[0] === 1 && typeof value[1] === "string") return value[1];
  } catch (cause) {
    throw invalidCursor(cause);
  }
  throw invalidCursor(undefined);
}

function invalidCursor(cause: unknown): Failure {
  return new Failure("InvalidArgument", "The cursor is not one that a listing gave", { cause });
}
