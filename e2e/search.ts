// Looks for a text in files, as it is and in the forms in which software writes bytes down.

import { open, readdir } from "node:fs/promises";
import { join } from "node:path";

/** The text itself; in base64 at each of its three alignments, in both alphabets; in hexadecimal; in UTF-16. */
export function formsOf(text: string): readonly Buffer[] {
  const bytes = Buffer.from(text);
  const base64 = [0, 1, 2].map((shift) => {
    const encoded = Buffer.concat([Buffer.alloc(shift), bytes]).toString("base64");
    // What depends on the neighbours is cut off.
    return encoded.replace(/=+$/, "").slice(shift === 0 ? 0 : 4, -4);
  });
  const texts = [
    ...base64,
    ...base64.map((one) => one.replaceAll("+", "-").replaceAll("/", "_")),
    bytes.toString("hex"),
    bytes.toString("hex").toUpperCase(),
  ];
  return [bytes, ...texts.map((one) => Buffer.from(one)), Buffer.from(text, "utf16le")];
}

const BLOCK_BYTES = 4 * 1024 * 1024;

/** The files below a folder, with their paths, that hold one of the forms; names of files are looked at too. */
export async function filesWith(folder: string, forms: readonly Buffer[]): Promise<{ found: string[]; files: number }> {
  const found: string[] = [];
  let files = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const isNamed = forms.some((form) => Buffer.from(entry.name).includes(form));
    if (entry.isFile()) files += 1;
    if (isNamed || (entry.isFile() && (await holds(path, forms)))) found.push(path);
  }
  return { found, files };
}

/** Whether bytes hold one of the forms. */
export function includesAny(bytes: Uint8Array, forms: readonly Buffer[]): boolean {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return forms.some((form) => buffer.includes(form));
}

async function holds(path: string, forms: readonly Buffer[]): Promise<boolean> {
  const overlap = Math.max(...forms.map((form) => form.length));
  const block = Buffer.alloc(BLOCK_BYTES + overlap);
  const file = await open(path).catch((error: unknown) => {
    // What is swept away while we look holds nothing any more.
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  });
  if (file === undefined) return false;
  try {
    for (let at = 0; ; at += BLOCK_BYTES) {
      const { bytesRead } = await file.read(block, 0, block.length, at);
      if (includesAny(block.subarray(0, bytesRead), forms)) return true;
      if (bytesRead < block.length) return false;
    }
  } finally {
    await file.close();
  }
}
