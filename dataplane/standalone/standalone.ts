/**
 * A data plane that runs alone: no operator and no folder rules it. From what a person wrote, and from key ring and
 * credentials that are made once, it makes the same configuration that an operator would; and it holds the KeyAdmin.
 */
import { newestKey, printRing } from "../../kms/ring.ts";
import { ConfigError, type DataPlaneConfig, parseConfig } from "../config/config.ts";
import type { ConfigSource, StandaloneWish, Watched } from "../config/sources.ts";
import { standaloneConfig } from "../config/standalone-config.ts";
import { failureOf } from "../failure.ts";
import { kmsKeysInUse } from "../keys/keys.ts";
import type { Log } from "../log.ts";
import type { Storage } from "../storage/storage.ts";
import { accessPath, findAccess, type Urls, writeAccessFiles } from "./access-files.ts";
import { judgeContexts, keepContexts } from "./contexts.ts";
import { codeOf, findRing, ringPlace } from "./ring.ts";
import { findStrays } from "./strays.ts";
import { isWithin } from "./volumes.ts";
import { readKeyWishes, rewrapWishOf } from "./wishes.ts";

export { createKeyDriver } from "./driver.ts";

export interface StandaloneNeeds {
  readonly source: ConfigSource;
  readonly dataDir: string;
  readonly secretsDir: string;
  readonly urls: Urls;
  readonly storage: Storage;
  readonly log: Log;
  readonly nowMs: () => number;
}

/** The configuration as it is wanted now; each `read` makes it anew. */
export interface StandaloneSource extends Watched {
  /** Throws ConfigError. */
  read(signal: AbortSignal): Promise<MadeDocument>;
  /**
   * Of what was read last without a problem, with the keys as they are now. Where that fails, the fingerprint differs from
   * then on and every minute: whoever watches reads, tells why it is refused, and sees when it no longer is.
   */
  again(signal: AbortSignal): Promise<MadeDocument>;
}

interface MadeDocument {
  readonly document: DataPlaneConfig;
  readonly hash: string;
}

const MADE_AGAIN_MS = 60_000;

/** Throws ConfigError: a ring is no protection on the volume that it protects. */
export function createStandalone(needs: StandaloneNeeds): StandaloneSource {
  const { source, dataDir, secretsDir, storage, log, nowMs } = needs;
  refuseSecretsInData(secretsDir, dataDir);
  const place = ringPlace(secretsDir);
  let previous: DataPlaneConfig | undefined;
  let last: { readonly wish: StandaloneWish; readonly hash: string } | undefined;
  const tell = createTeller(log);
  let unmadeMs: number | undefined;
  let strays: readonly string[] | undefined;

  async function make(wish: StandaloneWish, signal: AbortSignal): Promise<DataPlaneConfig> {
    const inUse = () => kmsKeysInUse(storage, "Local", signal);
    const ring = await findRing(place, wish.provider === "local", inUse, () => new Date(nowMs()), signal);
    const { problems, fresh } = await judgeContexts(storage, wish.buckets, previous, signal);
    if (problems.length > 0) throw new ConfigError(problems);
    const { pairs, files } = await findAccess(wish, secretsDir, needs.urls);
    const wishes = await readKeyWishes(storage, signal).catch(failToRead);
    const version = wish.provider === "local" && ring !== undefined ? String(newestKey(ring).version) : undefined;
    const material = {
      local: ring === undefined ? undefined : { type: "Local" as const, ring: printRing(ring) },
      pairs,
      rewrapWish: rewrapWishOf(wish.provider, wishes, version),
    };
    const config = parseConfig(standaloneConfig(wish, material, previous, nowMs()));
    const warnings = await writeAccessFiles(files);
    // Later, only what was a stray, or was served until now, can be one.
    const known = strays === undefined ? undefined : [...strays, ...(previous?.buckets ?? []).map(({ name }) => name)];
    strays = await findStrays(storage, new Set(config.buckets.map(({ name }) => name)), known, signal);
    tell([...wish.notices, ...warnings, ...strays.map(strayWords)]);
    await keepContexts(storage, fresh, signal).catch((error: unknown) => {
      // As with buckets that cannot be made: the next time will do.
      log.warn("what cannot be changed of the buckets cannot be written down", { cause: error });
    });
    return config;
  }

  return {
    path: source.path,
    isFolder: source.isFolder,
    async fingerprint() {
      const read = await source.fingerprint();
      return unmadeMs === undefined ? read : `${read}/${Math.floor((nowMs() - unmadeMs) / MADE_AGAIN_MS)}`;
    },
    async read(signal) {
      const read = await source.read();
      if (read.kind !== "wish") {
        throw new ConfigError(["format: is a whole document, and this process began without one"]);
      }
      const isFirst = previous === undefined;
      previous = await make(read.wish, signal);
      last = read;
      unmadeMs = undefined;
      if (isFirst) log.info("credentials", { admin: accessPath(secretsDir, undefined, read.wish.admin.entry) });
      return { document: previous, hash: read.hash };
    },
    async again(signal) {
      if (last === undefined) throw new Error("again is after a first time");
      try {
        previous = await make(last.wish, signal);
      } catch (error) {
        unmadeMs ??= nowMs();
        throw error;
      }
      unmadeMs = undefined;
      return { document: previous, hash: last.hash };
    },
  };
}

function strayWords(bucket: string): string {
  return `bucket ${bucket} holds data and stands nowhere: nobody reaches it until it stands in the file again`;
}

function refuseSecretsInData(secretsDir: string, dataDir: string): void {
  let isRefused: boolean;
  try {
    isRefused = isWithin(secretsDir, dataDir);
  } catch (error) {
    throw new ConfigError([`COFFER_SECRETS_DIR: cannot be found, or COFFER_DATA_DIR cannot: ${codeOf(error)}`]);
  }
  if (!isRefused) return;
  throw new ConfigError([
    "COFFER_SECRETS_DIR: must not lie in COFFER_DATA_DIR: a key ring is no protection on the volume that it protects",
  ]);
}

function failToRead(error: unknown): never {
  throw failureOf(error, "read what was asked of the keys");
}

/** Warns of what was not said the last time. */
function createTeller(log: Log): (notices: readonly string[]) => void {
  let said = "";
  return (notices) => {
    const all = notices.join("\n");
    if (all === said) return;
    said = all;
    for (const notice of notices) log.warn(notice);
  };
}
