// A RingHolder over one file: 0600, and each write whole and durable or not at all. Serves where no cluster keeps rings:
// `npm start` and a data plane alone. One process at a time changes a file; in it, writers take turns.

import { createHash, randomUUID } from "node:crypto";
import { type FileHandle, link, mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { parseRingText, printRing, type Ring, RingChanged, type RingHolder, type RingTag } from "./ring.ts";

const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

/** What is being written, by path: a holder waits for the writer before it, also for another holder of the same file. */
const writing = new Map<string, Promise<unknown>>();

/** Files of which nobody knows whether what they show is durable. What a version of such a ring wrapped might be lost with
 *  it, so they are not used before a restart has read what is really there. */
const doubtful = new Set<string>();

/** Holds the ring that is, or will be, in the file at `path`. Folders that are missing are made with the first ring. */
export function createRingFile(path: string): RingHolder {
  const file = resolve(path);
  return {
    async read(signal) {
      signal.throwIfAborted();
      refuseDoubtful(file);
      const text = await readText(file);
      return text === undefined ? undefined : { ring: parseRingText(text), tag: tagOf(text) };
    },

    async replace(ring, ifTag, signal) {
      return await inTurn(file, async () => {
        signal.throwIfAborted();
        refuseDoubtful(file);
        const text = await readText(file);
        if ((text === undefined ? "absent" : tagOf(text)) !== ifTag) throw new RingChanged();
        return await write(file, ring, ifTag === "absent");
      });
    },
  };
}

/** From the first byte on, the write is finished whatever the signal says: its outcome must be known. */
async function write(file: string, ring: Ring, isFirst: boolean): Promise<RingTag> {
  const text = `${JSON.stringify(printRing(ring), undefined, 2)}\n`;
  const folder = dirname(file);
  if (isFirst) await makeFolders(folder);
  const draft = join(folder, `.${randomUUID()}.ring-draft`);
  try {
    await writeDurably(draft, text);
    if (isFirst) await publishFirst(draft, file);
    else await rename(draft, file);
    await syncPublished(file, folder);
  } finally {
    await rm(draft, { force: true });
  }
  return tagOf(text);
}

/** A link never replaces, so that of two processes which both saw no ring, one cannot lose the ring of the other. */
async function publishFirst(draft: string, file: string): Promise<void> {
  try {
    await link(draft, file);
  } catch (error) {
    const code = errorCode(error);
    if (code === "EEXIST") throw new RingChanged();
    if (code !== "EPERM" && code !== "ENOTSUP" && code !== "ENOSYS" && code !== "EOPNOTSUPP") throw error;
    await rename(draft, file); // a file system without links
  }
}

async function writeDurably(path: string, text: string): Promise<void> {
  const handle = await open(path, "wx", FILE_MODE);
  await closing(handle, async () => {
    await handle.writeFile(text);
    await handle.sync();
  });
}

async function syncPublished(file: string, folder: string): Promise<void> {
  try {
    await syncFolder(folder);
  } catch (error) {
    doubtful.add(file);
    throw error;
  }
}

function refuseDoubtful(file: string): void {
  if (doubtful.has(file)) throw new Error("The key ring could not be made durable: it is not used until a restart");
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  await closing(handle, () => handle.sync());
}

/** Each new folder is durable only once its parent has been synced. */
async function makeFolders(folder: string): Promise<void> {
  const firstMade = await mkdir(folder, { recursive: true, mode: FOLDER_MODE });
  if (firstMade === undefined) return;
  const top = dirname(resolve(firstMade));
  for (let made = resolve(folder); made !== top; made = dirname(made)) await syncFolder(dirname(made));
}

async function closing(handle: FileHandle, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } finally {
    await handle.close();
  }
}

async function readText(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

async function inTurn<Result>(file: string, work: () => Promise<Result>): Promise<Result> {
  const before = writing.get(file) ?? Promise.resolve();
  const turn = before.then(work, work);
  writing.set(file, turn);
  try {
    return await turn;
  } finally {
    if (writing.get(file) === turn) writing.delete(file);
  }
}

function tagOf(text: string): RingTag {
  return createHash("sha256").update(text).digest("hex");
}

function errorCode(error: unknown): unknown {
  return (error as { code?: unknown } | null)?.code;
}
