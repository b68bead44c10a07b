/** Tells when a configuration changed: the folder is watched, and looked into once a second besides. */
import { type FSWatcher, watch } from "node:fs";
import { basename, dirname } from "node:path";

export interface Watched {
  /** A file, or a folder of files; undefined: nothing tells of itself. */
  readonly path: string | undefined;
  readonly isFolder: boolean;
  /** Differs whenever what would be read differs. */
  fingerprint(): Promise<string>;
}

const POLL_MS = 1000;
const SETTLE_MS = 50;

/**
 * Calls `onChange` after each change, one call at a time, until the signal aborts. The folder is watched, because a
 * mounted Secret changes by a swapped link, and all is read once a second besides, because not every file system tells.
 */
export async function watchChanges(
  watched: Watched,
  lastFingerprint: string,
  onChange: () => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  let seen = lastFingerprint;
  const bell = createBell();
  const watcher = watchFolder(watched, bell.ring);
  signal.addEventListener("abort", bell.ring, { once: true });
  try {
    while (!signal.aborted) {
      await bell.wait(POLL_MS);
      if (signal.aborted) return;
      if ((await watched.fingerprint()) === seen) continue;
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
      seen = await watched.fingerprint();
      await onChange();
    }
  } finally {
    watcher?.close();
  }
}

function watchFolder({ path, isFolder }: Watched, onEvent: () => void): FSWatcher | undefined {
  if (path === undefined) return undefined;
  try {
    const name = basename(path);
    const watcher = watch(isFolder ? path : dirname(path), { persistent: false }, (_event, file) => {
      if (isFolder || file === null || file === name || file.startsWith("..")) onEvent();
    });
    watcher.on("error", () => watcher.close());
    return watcher;
  } catch {
    // The poll goes on without it.
    return undefined;
  }
}

function createBell(): { ring: () => void; wait(ms: number): Promise<void> } {
  let rung = false;
  let wake: (() => void) | undefined;
  return {
    ring() {
      rung = true;
      wake?.();
    },
    async wait(ms) {
      if (!rung) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, ms);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
      rung = false;
      wake = undefined;
    },
  };
}
