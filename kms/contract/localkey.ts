/* A key that works, for tests of other rooms that need one and do not care which. */

import type { Kms } from "../kms.ts";
import { createLocalKms } from "../local.ts";
import type { KmsOptionsJson } from "../options.ts";
import { createRing, printRing } from "../ring.ts";

export interface LocalKey {
  readonly kms: Kms;
  readonly kmsKeyId: string;
  /** As they stand in a configuration. */
  readonly options: KmsOptionsJson;
}

/** Of a new Local ring. */
export function localKey(): LocalKey {
  const ring = createRing(new Date(0));
  return { kms: createLocalKms(ring), kmsKeyId: ring.id, options: { type: "Local", ring: printRing(ring) } };
}
