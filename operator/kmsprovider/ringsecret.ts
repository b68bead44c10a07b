// Key rings where there is a cluster: the one that Coffer makes, in a Secret of its own, and those that a person keeps.

import type { KmsProvider } from "../../crds/kmsprovider.ts";
import { keyRingName, RING_KEY } from "../../crds/names.ts";
import {
  newestKey,
  parseRingText,
  printRing,
  type Ring,
  RingChanged,
  type RingHolder,
  RingInvalid,
} from "../../kms/ring.ts";
import type { Kube } from "../kube/client.ts";
import { isKubeError } from "../kube/failure.ts";
import type { NamedReader } from "../kube/namedreader.ts";
import { RESOURCES, type SecretObject } from "../kube/resources.ts";
import { isLabelledFor } from "../manifest.ts";
import { ringSecret } from "./manifests.ts";
import type { KeyFound } from "./plan.ts";

export interface RingFound {
  readonly key: KeyFound;
  readonly ring: Ring | undefined;
}

/** The ring is written under the resourceVersion that it was read with: of two who rotate, one is refused. */
export function createRingSecret(kube: Kube, secrets: NamedReader<SecretObject>, provider: KmsProvider): RingHolder {
  const { namespace = "", name: providerName } = provider.metadata;
  const name = { namespace, name: keyRingName(providerName) };
  return {
    async read(signal) {
      // Past what is remembered: what decides about a rotation must be what is there.
      const secret = await kube.read(RESOURCES.secrets, name, signal);
      const text = secret === undefined ? undefined : textIn(secret, RING_KEY);
      if (secret === undefined || text === undefined) return undefined;
      return { ring: parseRingText(text), tag: secret.metadata.resourceVersion ?? "" };
    },

    async replace(ring, ifTag, signal) {
      const secret: SecretObject = ringSecret(provider, `${JSON.stringify(printRing(ring))}\n`);
      try {
        const written =
          ifTag === "absent"
            ? await kube.create(RESOURCES.secrets, secret, signal)
            : await kube.patch(
                RESOURCES.secrets,
                name,
                { metadata: { resourceVersion: ifTag }, data: secret.data },
                signal,
              );
        secrets.note(written);
        return written.metadata.resourceVersion ?? "";
      } catch (error) {
        if (isKubeError(error, "conflict", "exists")) throw new RingChanged();
        throw error;
      }
    },
  };
}

/** In words, as messages have it. */
export function ringPlace({ metadata, spec }: KmsProvider): string {
  const ref = spec.local?.keySecretRef;
  return ref === undefined ? `Secret "${keyRingName(metadata.name)}"` : `The key ring in Secret "${ref.name}"`;
}

/** What stands where the provider's ring should be. */
export function findRing(provider: KmsProvider, secret: SecretObject | undefined): RingFound {
  const ref = provider.spec.local?.keySecretRef;
  return ref === undefined ? findOwn(provider, secret) : findReferred(ref, secret);
}

function findOwn(provider: KmsProvider, secret: SecretObject | undefined): RingFound {
  if (secret === undefined) return { key: { kind: "absent" }, ring: undefined };
  const text = textIn(secret, RING_KEY);
  if (text !== undefined) return foundInText(text);
  const message = isLabelledFor(secret, provider.metadata.name, "key-ring")
    ? `it has no key "${RING_KEY}"`
    : `it is another's, and has no key "${RING_KEY}": rename it, or name this provider otherwise`;
  return { key: { kind: "invalid", message }, ring: undefined };
}

function findReferred(
  ref: { readonly name: string; readonly key: string },
  secret: SecretObject | undefined,
): RingFound {
  if (secret === undefined) {
    const message = `Secret "${ref.name}" does not exist: make it, with the key "${ref.key}"`;
    return { key: { kind: "unresolved", reason: "SecretNotFound", message }, ring: undefined };
  }
  const text = textIn(secret, ref.key);
  if (text === undefined) {
    const message = `Secret "${ref.name}" has no key "${ref.key}": add it, or correct the reference`;
    return { key: { kind: "unresolved", reason: "SecretKeyMissing", message }, ring: undefined };
  }
  return foundInText(text);
}

function foundInText(text: string): RingFound {
  try {
    const ring = parseRingText(text);
    return { key: { kind: "found", id: ring.id, version: String(newestKey(ring).version) }, ring };
  } catch (error) {
    if (!(error instanceof RingInvalid)) throw error;
    const words = error.problems.map(({ at, problem }) => `${at} ${problem}`.trim());
    return { key: { kind: "invalid", message: words.join("; ") }, ring: undefined };
  }
}

function textIn(secret: SecretObject, key: string): string | undefined {
  const value = secret.data?.[key];
  return value === undefined ? undefined : Buffer.from(value, "base64").toString("utf8");
}
