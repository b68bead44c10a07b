/** The settings of buckets as sealed documents, and a copy of what was read: every write asks for them. */
import type { Call } from "../call.ts";
import type { BucketEntry } from "../config/config.ts";
import type { Storage } from "../storage/storage.ts";
import { parseSettings, printSettings, type Settings, settingsPath } from "./settings.ts";

/** Seals and opens the settings of a bucket under its bucket key. */
export interface SettingsSealer {
  seal(call: Call, bucket: BucketEntry, settings: string): Promise<Uint8Array>;
  open(call: Call, bucket: BucketEntry, sealed: Uint8Array): Promise<string>;
}

export interface SettingsStore {
  read(call: Call, bucket: BucketEntry): Promise<Settings>;
  /** Durable when it resolves. */
  write(call: Call, bucket: BucketEntry, settings: Settings): Promise<void>;
  cached(bucket: string): Settings | undefined;
  /** The document has gone. */
  forget(bucket: string): void;
}

export function createSettingsStore(storage: Storage, sealer: SettingsSealer): SettingsStore {
  const known = new Map<string, Settings>();
  /** Grows with every change, so that what was read before one is not kept behind it. */
  let changes = 0;
  const forget = (bucket: string): void => {
    changes += 1;
    known.delete(bucket);
  };
  return {
    async read(call, bucket) {
      const cached = known.get(bucket.name);
      if (cached !== undefined) return cached;
      const before = changes;
      const document = await storage.document(settingsPath(bucket.name), call.signal);
      const settings =
        document === undefined ? {} : parseSettings(await sealer.open(call, bucket, document.bytes), bucket.name);
      if (changes === before) known.set(bucket.name, settings);
      return settings;
    },
    async write(call, bucket, settings) {
      const path = settingsPath(bucket.name);
      const before = await storage.document(path, call.signal);
      const sealed = await sealer.seal(call, bucket, printSettings(settings));
      try {
        await storage.putDocument(path, sealed, before?.tag ?? "absent", call.signal);
      } finally {
        // Whatever came of it, the next reader looks.
        forget(bucket.name);
      }
    },
    forget,
    cached: (bucket) => known.get(bucket),
  };
}
