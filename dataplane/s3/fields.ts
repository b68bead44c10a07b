/**
 * The header fields of a request as they came: by lower-case name, values as latin1 text in which one code unit is one
 * byte (Node hands them over so), repeated ones joined by a comma. What they mean is left to their readers.
 */
import { isUtf8 } from "node:buffer";
import { Failure } from "../failure.ts";

export type Fields = ReadonlyMap<string, string>;

/** From Node's `rawHeaders`: `head.headers` drops or joins repeats by rules of its own. */
export function fieldsOf(rawHeaders: readonly string[]): Map<string, string> {
  const fields = new Map<string, string>();
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = (rawHeaders[at] as string).toLowerCase();
    const value = rawHeaders[at + 1] as string;
    const before = fields.get(name);
    fields.set(name, before === undefined ? value : `${before},${value}`);
  }
  return fields;
}

/** The UTF-8 text behind a field's latin1 form; refuses what is not UTF-8, and control characters. */
export function textOf(name: string, latin1: string): string {
  if (hasControl(latin1)) throw new Failure("InvalidArgument", `The header ${name} holds a control character`);
  if (isAscii(latin1)) return latin1;
  const bytes = Buffer.from(latin1, "latin1");
  if (!isUtf8(bytes)) throw new Failure("InvalidArgument", `The header ${name} is not UTF-8`);
  return bytes.toString("utf8");
}

/** The latin1 form in which Node's `setHeader` sends exactly the UTF-8 bytes of a text. */
export function latin1Of(text: string): string {
  return isAscii(text) ? text : Buffer.from(text, "utf8").toString("latin1");
}

/** Whether a text cannot stand in a header: C0 controls but the tab, and DEL. */
export function hasControl(text: string): boolean {
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    if ((unit < 0x20 && unit !== 0x09) || unit === 0x7f) return true;
  }
  return false;
}

/** A whole number without sign; undefined for anything else, or beyond what a number holds exactly. */
export function wholeNumber(text: string): number | undefined {
  if (!/^\d{1,16}$/.test(text)) return undefined;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : undefined;
}

/** The bytes of strict base64 (padded, canonical); undefined for anything else. */
export function base64Bytes(text: string): Uint8Array | undefined {
  if (text.length % 4 !== 0) return undefined;
  const bytes = Buffer.from(text, "base64");
  return bytes.toString("base64") === text ? bytes : undefined;
}

function isAscii(text: string): boolean {
  for (let at = 0; at < text.length; at += 1) {
    if (text.charCodeAt(at) > 0x7f) return false;
  }
  return true;
}
