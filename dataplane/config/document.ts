/** The bytes of a configuration file, and the whole document that a program wrote, JSON, plain or gzip. */
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { ConfigError } from "./config.ts";

const DOCUMENT_BYTES_MAX = 64 * 1024 * 1024;
const gunzipAsync = promisify(gunzip);

/** Throws ConfigError; `shown` is the file as a person would type it. */
export async function unzip(bytes: Buffer, shown: string): Promise<Buffer> {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  try {
    return await gunzipAsync(bytes, { maxOutputLength: DOCUMENT_BYTES_MAX });
  } catch (cause) {
    throw new ConfigError([`${shown}: the file is not whole gzip: ${errorCode(cause)}`]);
  }
}

/** Of a file whose name tells nothing. Throws ConfigError with a reason that quotes nothing of the file. */
export function parseJson(bytes: Buffer, shown: string): unknown {
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch {
    // The parser's own message quotes the text around the fault, which may be a secret.
    throw new ConfigError([`${shown}: the file is not JSON, nor does its name end in .toml, .yaml, .yml or .json`]);
  }
}

export function errorCode(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : "unknown error";
}
