/** What was asked of the keys by request, as a document: how often a rewrap was, and what a rotation made of a key. */
import { type Storage, StorageError } from "../storage/storage.ts";

export interface KeyWishes {
  /** Rises with every rewrap that is asked for. */
  readonly generation: number;
  /** By provider: the newest version that a rotation by request came to. */
  readonly versions: Readonly<Record<string, string>>;
}

const PATH = "standalone";
const NONE: KeyWishes = { generation: 0, versions: {} };

export async function readKeyWishes(storage: Storage, signal: AbortSignal): Promise<KeyWishes> {
  const document = await storage.document(PATH, signal);
  return document === undefined ? NONE : parse(document.bytes);
}

/** Durable when it resolves. */
export async function changeKeyWishes(
  storage: Storage,
  change: (before: KeyWishes) => KeyWishes,
  signal: AbortSignal,
): Promise<KeyWishes> {
  for (;;) {
    const document = await storage.document(PATH, signal);
    const wishes = change(document === undefined ? NONE : parse(document.bytes));
    const bytes = Buffer.from(JSON.stringify({ format: 1, ...wishes }));
    try {
      await storage.putDocument(PATH, bytes, document?.tag ?? "absent", signal);
      return wishes;
    } catch (error) {
      if (!(error instanceof StorageError && error.code === "changed")) throw error;
    }
  }
}

/** Provider, generation and version; the version last, since a KMS chooses it. */
export function rewrapWishOf(
  provider: string,
  { generation, versions }: KeyWishes,
  version: string | undefined,
): string {
  return `${provider}/${generation}/${version ?? versions[provider] ?? ""}`;
}

function parse(bytes: Uint8Array): KeyWishes {
  try {
    const { format, generation, versions } = JSON.parse(Buffer.from(bytes).toString("utf8"));
    if (format === 1 && Number.isSafeInteger(generation) && isTexts(versions)) return { generation, versions };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new StorageError("damaged", `the document "${PATH}" cannot be read`);
}

function isTexts(value: unknown): value is Readonly<Record<string, string>> {
  return typeof value === "object" && value !== null && Object.values(value).every((one) => typeof one === "string");
}
