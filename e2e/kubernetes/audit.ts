// What the API server was asked, by its audit log: who asked for what, when, and what came of it. Never what was in it.

import { open, stat } from "node:fs/promises";
import { sharedCluster } from "./cluster.ts";

export interface AuditEntry {
  readonly verb: string;
  readonly requestURI: string;
  readonly user: { readonly username: string };
  readonly userAgent?: string;
  readonly objectRef?: {
    readonly apiGroup?: string;
    readonly resource: string;
    readonly subresource?: string;
    readonly namespace?: string;
    readonly name?: string;
  };
  readonly responseStatus?: { readonly code: number };
  readonly stage: string;
  readonly requestReceivedTimestamp: string;
}

/** The operator, as the API server knows it. */
export function operatorUser(): string {
  return `system:serviceaccount:${sharedCluster().operatorNamespace}:coffer-operator`;
}

/** A place in the log: what was asked after it. */
export async function auditMark(): Promise<number> {
  return (await stat(auditLog())).size;
}

/** All entries from there on that are so. A watch has one when it begins and one when it ends. */
export async function auditEntries(
  mark: number,
  isSo: (entry: AuditEntry) => boolean = () => true,
): Promise<readonly AuditEntry[]> {
  const file = await open(auditLog());
  try {
    const { size } = await file.stat();
    const bytes = Buffer.alloc(Math.max(0, size - mark));
    await file.read(bytes, 0, bytes.length, mark);
    const lines = bytes.toString("utf8").split("\n").slice(0, -1);
    return lines.map((line) => JSON.parse(line) as AuditEntry).filter(isSo);
  } finally {
    await file.close();
  }
}

function auditLog(): string {
  const { auditLog: path, what } = sharedCluster();
  if (path === undefined) throw new Error(`${what} shows nobody its audit log`);
  return path;
}
