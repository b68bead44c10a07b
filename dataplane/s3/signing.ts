/**
 * The arithmetic of Signature V4: signing keys, which hold for a day and a region and so are kept, the string to sign,
 * and the chain of signatures over the chunks of a body. What is signed is left to the callers.
 */
import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from "node:crypto";

const KEPT_KEYS_MAX = 1024;

export interface SigningKeys {
  get(accessKeyId: string, secret: string, day: string, region: string): KeyObject;
  /** Keeps a key under which a signature has held: nobody else can fill the cache. */
  keep(accessKeyId: string, secret: string, day: string, region: string, signingKey: KeyObject): void;
}

export function createSigningKeys(): SigningKeys {
  const kept = new Map<string, { readonly secret: string; readonly signingKey: KeyObject }>();
  const place = (accessKeyId: string, day: string, region: string): string => `${day}/${accessKeyId}/${region}`;
  return {
    get(accessKeyId, secret, day, region) {
      const found = kept.get(place(accessKeyId, day, region));
      return found?.secret === secret ? found.signingKey : deriveSigningKey(secret, day, region);
    },
    keep(accessKeyId, secret, day, region, signingKey) {
      const at = place(accessKeyId, day, region);
      if (kept.get(at)?.secret === secret) return;
      if (kept.size >= KEPT_KEYS_MAX) {
        const [oldest] = kept.keys();
        if (oldest !== undefined) kept.delete(oldest);
      }
      kept.set(at, { secret, signingKey });
    },
  };
}

export function deriveSigningKey(secret: string, day: string, region: string): KeyObject {
  const ofDay = createHmac("sha256", `AWS4${secret}`).update(day).digest();
  const ofRegion = createHmac("sha256", ofDay).update(region).digest();
  const ofService = createHmac("sha256", ofRegion).update("s3").digest();
  return createSecretKey(createHmac("sha256", ofService).update("aws4_request").digest());
}

/** Hex HMAC-SHA-256. */
export function sign(signingKey: KeyObject, stringToSign: string): string {
  return createHmac("sha256", signingKey).update(stringToSign).digest("hex");
}

/** Compares in a time that tells nothing of where they differ. */
export function sameSignature(ours: string, theirs: string): boolean {
  if (ours.length !== theirs.length) return false;
  const other = Buffer.from(theirs, "utf8");
  return other.length === ours.length && timingSafeEqual(Buffer.from(ours, "utf8"), other);
}

const EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/** Each signature covers the one before it, so chunks cannot be left out, swapped or taken from another body. */
export class ChunkSigner {
  readonly #signingKey: KeyObject;
  readonly #timestamp: string;
  readonly #scope: string;
  #previous: string;

  constructor(signingKey: KeyObject, timestamp: string, scope: string, seed: string) {
    this.#signingKey = signingKey;
    this.#timestamp = timestamp;
    this.#scope = scope;
    this.#previous = seed;
  }

  /** The signature of the next chunk, whose hex SHA-256 is given. */
  chunk(sha256: string): string {
    return this.#next(
      `AWS4-HMAC-SHA256-PAYLOAD\n${this.#timestamp}\n${this.#scope}\n${this.#previous}\n${EMPTY_SHA256}\n${sha256}`,
    );
  }

  /** The signature of the trailers, whose hex SHA-256 is given. */
  trailers(sha256: string): string {
    return this.#next(`AWS4-HMAC-SHA256-TRAILER\n${this.#timestamp}\n${this.#scope}\n${this.#previous}\n${sha256}`);
  }

  #next(stringToSign: string): string {
    this.#previous = sign(this.#signingKey, stringToSign);
    return this.#previous;
  }
}
