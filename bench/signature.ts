// Signature V4 as clients make it, in the header and over chunks. A body's hashes are computed once and used for every
// request that sends it, so that the client does not measure its own SHA-256.

import { createHmac, hash } from "node:crypto";

const ALGORITHM = "AWS4-HMAC-SHA256";
const EMPTY_SHA256 = hash("sha256", "");

export interface Credentials {
  readonly accessKeyId: string;
  readonly secret: string;
  readonly region: string;
}

export interface ToSign {
  readonly method: string;
  /** Encoded as signatures want it. */
  readonly path: string;
  /** Sorted and encoded: `a=1&b=2`, or empty. */
  readonly query: string;
  /** Lower-case names, sorted; `host` and all of `x-amz-*`, but for the date and the payload. */
  readonly headers: Readonly<Record<string, string>>;
  /** What stands in x-amz-content-sha256. */
  readonly payload: string;
}

export interface Signed {
  readonly headers: Record<string, string>;
  /** The signature of the next chunk of the body, from the chunk's own hash. */
  chunk(sha256: string): string;
}

/** Signs for one server; the day's key is kept. */
export class Signer {
  readonly #credentials: Credentials;
  #day = "";
  #key: Buffer = Buffer.alloc(0);

  constructor(credentials: Credentials) {
    this.#credentials = credentials;
  }

  #keyOf(day: string): Buffer {
    if (day !== this.#day) {
      const { secret, region } = this.#credentials;
      this.#key = hmac(hmac(hmac(hmac(`AWS4${secret}`, day), region), "s3"), "aws4_request");
      this.#day = day;
    }
    return this.#key;
  }

  sign({ method, path, query, headers, payload }: ToSign, at: Date): Signed {
    const timestamp = at.toISOString().replace(/[-:]|\.\d{3}/g, "");
    const key = this.#keyOf(timestamp.slice(0, 8));
    const scope = `${timestamp.slice(0, 8)}/${this.#credentials.region}/s3/aws4_request`;
    const all: Record<string, string> = { ...headers, "x-amz-content-sha256": payload, "x-amz-date": timestamp };
    const names = Object.keys(all).sort();
    const lines = names.map((name) => `${name}:${all[name]}\n`).join("");
    const canonical = `${method}\n${path}\n${query}\n${lines}\n${names.join(";")}\n${payload}`;
    let last = hmac(key, `${ALGORITHM}\n${timestamp}\n${scope}\n${hash("sha256", canonical)}`).toString("hex");
    const credential = `Credential=${this.#credentials.accessKeyId}/${scope}`;
    all["authorization"] = `${ALGORITHM} ${credential}, SignedHeaders=${names.join(";")}, Signature=${last}`;
    return {
      headers: all,
      chunk(sha256) {
        const text = `${ALGORITHM}-PAYLOAD\n${timestamp}\n${scope}\n${last}\n${EMPTY_SHA256}\n${sha256}`;
        last = hmac(key, text).toString("hex");
        return last;
      },
    };
  }
}

export { EMPTY_SHA256 };

function hmac(key: Uint8Array | string, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}
