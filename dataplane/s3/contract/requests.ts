/** For tests: heads of requests as Node hands them over, snapshots with credentials, and bodies in any blocks. */
import type { IncomingMessage } from "node:http";
import type { Credential } from "../../access/access.ts";
import { type DataPlaneConfig, defaultSettings } from "../../config/config.ts";
import type { Failure } from "../../failure.ts";
import type { Sent } from "../../http/table.ts";
import type { Snapshot } from "../../snapshot.ts";

export const ACCESS_KEY_ID = "AKIAIOSFODNN7EXAMPLE";
export const SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

export type HeaderList = readonly (readonly [name: string, value: string])[];

/** As much of an IncomingMessage as a protocol reads. */
export function headOf(method: string, url: string, headers: HeaderList = [["Host", "127.0.0.1"]]): IncomingMessage {
  return { method, url, rawHeaders: headers.flat() } as unknown as IncomingMessage;
}

export function credentialOf(more: Partial<Credential["configured"]> = {}): Credential {
  const configured = {
    entry: "app",
    generation: 0,
    accessKeyId: ACCESS_KEY_ID,
    secret: SECRET,
    tokenSha256: "f".repeat(64),
    permissions: ["Read", "Write", "List", "Delete"] as const,
    ...more,
  };
  return {
    configured: { ...configured, permissions: [...configured.permissions] },
    bucket: "photos",
    selfService: false,
  };
}

export function snapshotOf(config: Partial<DataPlaneConfig> = {}, credentials = [credentialOf()]): Snapshot {
  return {
    config: {
      format: 1,
      revision: 1,
      ruledBy: "folder",
      region: "local",
      hostNames: [],
      settings: defaultSettings,
      providers: [],
      buckets: [],
      ...config,
    },
    hash: "",
    credentials: new Map(
      credentials.flatMap((credential) => [
        [credential.configured.accessKeyId, credential],
        [credential.configured.tokenSha256, credential],
      ]),
    ),
    buckets: new Map(),
    made: { get: () => undefined, all: () => [] },
    providers: new Map(),
    kms: new Map(),
    openFailures: new Map(),
  };
}

/** The body as sent, in those blocks. */
export async function* sentIn(blocks: readonly Uint8Array[]): AsyncGenerator<Uint8Array, void> {
  for (const block of blocks) yield block;
}

/** A body of which no block may be asked for. */
export const neverSent: Sent = {
  [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(new Error("the body was read")) }),
};

/** The code of the Failure that is thrown. */
export function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    return (error as Failure).code;
  }
  return "none";
}

export async function codeLater(work: () => Promise<unknown>): Promise<string> {
  try {
    await work();
  } catch (error) {
    return (error as Failure).code;
  }
  return "none";
}
