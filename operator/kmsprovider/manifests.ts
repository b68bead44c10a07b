// What a KmsProvider makes: the Secret of a key ring. Pure. Its bytes are the ring's own.

import type { KmsProvider } from "../../crds/kmsprovider.ts";
import { keyRingName, RING_KEY } from "../../crds/names.ts";
import { labelsOf, type Manifest } from "../manifest.ts";

export interface RingSecret extends Manifest {
  readonly type: "Opaque";
  readonly data: Record<string, string>;
}

/** Without an owner: it holds the only copy of a key, and stays when the resource goes. */
export function ringSecret(provider: KmsProvider, ringJson: string): RingSecret {
  const { namespace = "", name } = provider.metadata;
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { namespace, name: keyRingName(name), labels: labelsOf(name, "key-ring") },
    type: "Opaque",
    data: { [RING_KEY]: Buffer.from(ringJson, "utf8").toString("base64") },
  };
}
