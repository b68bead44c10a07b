/**
 * The key ring of a data plane that runs alone: a file below COFFER_SECRETS_DIR, made once. A store that has been
 * encrypted under a ring gets no other one: without the ring nobody can read it, and a new one would only hide that.
 */
import { join } from "node:path";
import { createRing, type Ring, RingChanged, type RingHolder, RingInvalid } from "../../kms/ring.ts";
import { createRingFile } from "../../kms/ring-file.ts";
import { ConfigError } from "../config/config.ts";

export interface RingPlace {
  readonly holder: RingHolder;
  /** For people. */
  readonly path: string;
}

/** Where `npm start` keeps the ring of a KmsProvider `local` too. */
export function ringPlace(secretsDir: string): RingPlace {
  const path = join(secretsDir, "local-key-ring", "ring.json");
  return { holder: createRingFile(path), path };
}

/**
 * The ring that there is; where it `writes` and nothing was ever wrapped by one, it is made. `inUse` asks the store for
 * the rings that it needs. Throws ConfigError: KeyRingLost, or that what is there is no ring.
 */
export async function findRing(
  { holder, path }: RingPlace,
  writes: boolean,
  inUse: () => Promise<ReadonlySet<string>>,
  now: () => Date,
  signal: AbortSignal,
): Promise<Ring | undefined> {
  const ring = await readRing(holder, path, signal);
  const [needed, ...others] = await inUse();
  if (needed !== undefined && (ring === undefined || ![needed, ...others].includes(ring.id))) {
    const found = ring === undefined ? "there is none" : "there is another";
    throw new ConfigError([`KeyRingLost: the store needs key ring ${needed} in ${path}, and ${found}: restore it`]);
  }
  if (ring !== undefined || !writes) return ring;
  try {
    await holder.replace(createRing(now()), "absent", signal);
  } catch (error) {
    if (!(error instanceof RingChanged)) {
      throw new ConfigError([`the key ring cannot be made in ${path} (COFFER_SECRETS_DIR): ${codeOf(error)}`]);
    }
  }
  return readRing(holder, path, signal);
}

async function readRing(holder: RingHolder, path: string, signal: AbortSignal): Promise<Ring | undefined> {
  try {
    return (await holder.read(signal))?.ring;
  } catch (error) {
    if (error instanceof RingInvalid) {
      throw new ConfigError(error.problems.map(({ at, problem }) => `the key ring in ${path}: ${at} ${problem}`));
    }
    if (signal.aborted) throw error;
    throw new ConfigError([`the key ring in ${path} cannot be read: ${codeOf(error)}`]);
  }
}

export function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : "unknown error";
}
