/* Options → Storage; the only importer of adapters, and lazily: what is not used is not loaded. */

import type { Storage } from "./storage.ts";

export type StorageOptions =
  | {
      readonly type: "filesystem";
      readonly folder: string;
      /** Told what goes wrong behind the scenes, and when writes stop and go on. `cause` is for the log. */
      readonly report: (message: string, cause: unknown) => void;
    }
  | { readonly type: "memory" };

/** Ready when it resolves. */
export async function openStorage(options: StorageOptions): Promise<Storage> {
  if (options.type === "memory") {
    const { createMemoryStorage } = await import("./memory.ts");
    return createMemoryStorage();
  }
  const { openFilesystem } = await import("./filesystem/filesystem.ts");
  return openFilesystem({ folder: options.folder, report: options.report });
}
