/**
 * One line for every object and key operation: who did what to which object, with what outcome. Names of objects are in
 * it, never bodies, metadata, tokens, signatures or keys. Lines are written in order and none is dropped.
 */
import type { Call } from "../call.ts";
import { principalName } from "../call.ts";
import type { Settings } from "../config/config.ts";
import { Failure } from "../failure.ts";
import type { LineWriter } from "../log.ts";

export interface AuditEvent {
  /** `PutObject`, `UnwrapBucketKey`; one vocabulary for all protocols. */
  readonly operation: string;
  readonly kind: "read" | "write" | "key";
  readonly bucket: string;
  readonly name?: string | undefined;
  readonly bytes?: number | undefined;
  /** Which KMS key, of which provider, and the version that came of it. */
  readonly provider?: string | undefined;
  readonly kmsKeyId?: string | undefined;
  readonly keyVersion?: string | undefined;
  /** undefined: it succeeded. */
  readonly failure?: Failure | undefined;
}

/** A promise means that the writer is full: wait for it before the answer. It rejects with ServiceUnavailable where no
 *  line can be kept any more: what is not written down is not told of as done. */
export type Audit = (call: Call, event: AuditEvent) => Promise<void> | undefined;

/** The level of the call's own snapshot decides what is written; a tamper event is always written. */
export function createAudit(writer: LineWriter, now: () => Date, onTamper: () => void): Audit {
  return (call, event) => {
    const tamper = event.failure?.tamper === true;
    if (tamper) onTamper();
    if (!tamper && !isWanted(call.snapshot.config.settings, event.kind)) return undefined;
    const line = JSON.stringify({
      time: now().toISOString(),
      audit: event.kind,
      operation: event.operation,
      id: call.id,
      principal: principalName(call.principal),
      address: call.facts.address === "" ? undefined : call.facts.address,
      bucket: event.bucket,
      name: event.name,
      bytes: event.bytes,
      provider: event.provider,
      kmsKeyId: event.kmsKeyId,
      keyVersion: event.keyVersion,
      outcome: outcomeOf(event.failure),
      code: event.failure?.code,
    });
    return writer.write(line)?.catch(refuse);
  };
}

function refuse(cause: unknown): never {
  throw new Failure("ServiceUnavailable", "The audit log takes no more lines", { cause, retryAfterSeconds: 5 });
}

function isWanted(settings: Settings, kind: AuditEvent["kind"]): boolean {
  if (!settings.audit.enabled) return false;
  switch (settings.audit.level) {
    case "All":
      return true;
    case "Writes":
      return kind !== "read";
    case "Keys":
      return kind === "key";
  }
}

function outcomeOf(failure: Failure | undefined): "ok" | "refused" | "failed" | "tamper" {
  if (failure === undefined) return "ok";
  if (failure.tamper) return "tamper";
  return failure.status >= 500 ? "failed" : "refused";
}
