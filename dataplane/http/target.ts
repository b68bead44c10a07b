/**
 * The raw target of a request, cut by hand: both protocols that name objects need the same bytes, and neither `URL`
 * nor a framework's path keeps them. What the pieces mean is left to the protocol.
 */
import { isUtf8 } from "node:buffer";
import { Failure } from "../failure.ts";

const NAME_BYTES_MAX = 1024;

export interface RawTarget {
  /** Up to the first `?`, still encoded; begins with `/`. */
  readonly path: string;
  /** Behind it, still encoded; "" if there is none. */
  readonly query: string;
}

/** Cuts a target in origin form or absolute form (`http://host/path`); throws InvalidURI for any other. */
export function cutTarget(url: string): RawTarget {
  let target = url;
  if (!target.startsWith("/")) {
    const absolute = /^https?:\/\/[^/?]*/i.exec(target);
    if (absolute === null) throw new Failure("InvalidURI", "Cannot parse the request target");
    target = target.slice(absolute[0].length);
    if (!target.startsWith("/")) target = `/${target}`;
  }
  const mark = target.indexOf("?");
  if (mark < 0) return { path: target, query: "" };
  return { path: target.slice(0, mark), query: target.slice(mark + 1) };
}

/** Each `%XX` decoded once, all else as it stands (`+` is a plus), and then UTF-8. Throws InvalidURI: a bad `%`, NUL, or bytes that are no UTF-8. */
export function decodeOnce(encoded: string): string {
  if (!encoded.includes("%") && isPlainAscii(encoded)) return encoded;
  const bytes = Buffer.allocUnsafe(encoded.length);
  let length = 0;
  for (let at = 0; at < encoded.length; at += 1) {
    let byte = encoded.charCodeAt(at);
    if (byte === 0x25) {
      byte = hexByte(encoded, at + 1);
      at += 2;
    }
    // Node hands the target over as latin1: one code unit is one byte.
    if (byte === 0 || byte > 0xff) throw new Failure("InvalidURI", "Cannot parse the request target");
    bytes[length] = byte;
    length += 1;
  }
  const decoded = bytes.subarray(0, length);
  if (!isUtf8(decoded)) throw new Failure("InvalidURI", "The request target is not UTF-8");
  return decoded.toString("utf8");
}

/** An object name of a target: 1 to 1,024 bytes of UTF-8, kept byte for byte. Throws InvalidURI or KeyTooLongError. */
export function decodeName(encoded: string): string {
  const name = decodeOnce(encoded);
  if (name === "") throw new Failure("InvalidURI", "The object name is empty");
  if (name.length > NAME_BYTES_MAX || Buffer.byteLength(name) > NAME_BYTES_MAX) {
    throw new Failure("KeyTooLongError", `The object name has more than ${NAME_BYTES_MAX} bytes`);
  }
  return name;
}

/** Names and values in their order, decoded, `+` as a space; a name without `=` has the value "". */
export function decodeQuery(query: string): [string, string][] {
  if (query === "") return [];
  const decode = (piece: string): string => decodeOnce(piece.replaceAll("+", "%20"));
  return query
    .split("&")
    .filter((pair) => pair !== "")
    .map((pair) => {
      const equals = pair.indexOf("=");
      if (equals < 0) return [decode(pair), ""];
      return [decode(pair.slice(0, equals)), decode(pair.slice(equals + 1))];
    });
}

function isPlainAscii(text: string): boolean {
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    if (unit === 0 || unit > 0x7f) return false;
  }
  return true;
}

function hexByte(text: string, at: number): number {
  const high = hexDigit(text.charCodeAt(at));
  const low = hexDigit(text.charCodeAt(at + 1));
  if (high < 0 || low < 0) throw new Failure("InvalidURI", "A percent sign of the request target has no two digits");
  return high * 16 + low;
}

/** -1 for what is none, and for NaN, which charCodeAt gives behind the end. */
function hexDigit(unit: number): number {
  if (unit >= 0x30 && unit <= 0x39) return unit - 0x30;
  if (unit >= 0x41 && unit <= 0x46) return unit - 0x37;
  if (unit >= 0x61 && unit <= 0x66) return unit - 0x57;
  return -1;
}
