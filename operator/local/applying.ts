// Takes over what the folder says: reads it, lets editors finish, and keeps what was accepted.

import { errorCode } from "./durable.ts";
import { type FolderReading, readFolder } from "./folder.ts";
import { applyFolder, type Records, type SecretDocument } from "./records.ts";
import type { Report } from "./report.ts";
import { shownPath } from "./settings.ts";
import { writeStatusFile } from "./statusfiles.ts";
import type { Terminal } from "./terminal.ts";

export interface Applier {
  apply(records: Records): Promise<AppliedFolder>;
}

export interface AppliedFolder {
  readonly records: Records;
  readonly secrets: readonly SecretDocument[];
  /** When to look again though no file changes. */
  readonly againAfterMs: number | undefined;
}

export interface ApplierNeeds {
  readonly folder: string;
  readonly statusDir: string;
  readonly terminal: Terminal;
  readonly now: () => Date;
}

/** A file that is gone or empty may be on its way. */
const GONE_AFTER_MS = 1000;

export function createApplier(needs: ApplierNeeds, report: Report): Applier {
  const { folder, statusDir, terminal, now } = needs;
  const missingSinceMs = new Map<string, number>();
  let secrets: readonly SecretDocument[] = [];
  let isLost = false;

  async function read(): Promise<FolderReading | undefined> {
    try {
      const reading = await readFolder(folder);
      isLost = false;
      return reading;
    } catch (error) {
      const why = errorCode(error);
      if (!isLost) terminal.warn(`${shownPath(folder)} cannot be read (${why}): everything stays as it is`);
      isLost = true;
      return undefined;
    }
  }

  return {
    async apply(records) {
      const reading = await read();
      if (reading === undefined) return { records, secrets, againAfterMs: undefined };
      const { files, waitMs } = filesOnTheirWay(records, reading, missingSinceMs, now().getTime());
      const applied = applyFolder(records, reading, files, now());
      for (const [key, record] of applied.records) {
        if (records.get(key) !== record) await writeStatusFile(statusDir, record);
      }
      secrets = applied.secrets;
      report.refused(applied.refusals);
      report.gone(applied.gone);
      return { records: applied.records, secrets, againAfterMs: waitMs };
    },
  };
}

/** Files of which nothing is there though something was, for less than a moment: editors truncate, and then write. */
function filesOnTheirWay(
  records: Records,
  reading: FolderReading,
  missingSinceMs: Map<string, number>,
  nowMs: number,
): { readonly files: ReadonlySet<string>; readonly waitMs: number | undefined } {
  const present = new Set([...reading.documents.map(({ file }) => file), ...reading.broken.keys()]);
  for (const file of present) missingSinceMs.delete(file);
  const files = new Set<string>();
  let waitMs: number | undefined;
  for (const { file, isGone } of records.values()) {
    if (file === undefined || isGone || present.has(file)) continue;
    const sinceMs = missingSinceMs.get(file) ?? nowMs;
    missingSinceMs.set(file, sinceMs);
    const leftMs = sinceMs + GONE_AFTER_MS - nowMs;
    if (leftMs <= 0) continue;
    files.add(file);
    waitMs = Math.min(waitMs ?? leftMs, leftMs);
  }
  return { files, waitMs };
}
