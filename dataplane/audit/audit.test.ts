import { describe, expect, it } from "vitest";
import type { Call } from "../call.ts";
import { defaultSettings, type Settings } from "../config/config.ts";
import { Failure } from "../failure.ts";
import { type AuditEvent, createAudit } from "./audit.ts";

function callWith(audit: Settings["audit"]): Call {
  const configured = {
    entry: "app",
    generation: 1,
    accessKeyId: "AKAPP",
    secret: "marker-secret",
    tokenSha256: "0".repeat(64),
    permissions: [],
  };
  return {
    id: "r1",
    operation: "PutObject",
    principal: { kind: "credential", credential: { configured, bucket: "photos", selfService: false } },
    snapshot: { config: { settings: { ...defaultSettings, audit } } },
    facts: { tls: false, address: "127.0.0.1" },
  } as unknown as Call;
}

function written(audit: Settings["audit"], event: AuditEvent) {
  const lines: string[] = [];
  let tampered = 0;
  const writer = { write: (line: string) => void lines.push(line), flush: async () => undefined };
  const write = createAudit(
    writer,
    () => new Date(0),
    () => {
      tampered += 1;
    },
  );
  void write(callWith(audit), event);
  return { lines, tampered };
}

function fail(): never {
  throw new Error("nothing was tampered with");
}

const all = { enabled: true, level: "All" } as const;

describe("createAudit()", () => {
  it("writes one line that names who, what and the outcome, and no secret", () => {
    const { lines } = written(all, { operation: "PutObject", kind: "write", bucket: "photos", name: "a/ü", bytes: 5 });
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] ?? "")).toEqual({
      time: "1970-01-01T00:00:00.000Z",
      audit: "write",
      operation: "PutObject",
      id: "r1",
      principal: "AKAPP",
      address: "127.0.0.1",
      bucket: "photos",
      name: "a/ü",
      bytes: 5,
      outcome: "ok",
    });
  });

  it("fails what it cannot write down", async () => {
    const cause = new Error("full");
    const writer = { write: () => Promise.reject(cause), flush: async () => undefined };
    const audit = createAudit(writer, () => new Date(0), fail);
    const done = audit(callWith(all), { operation: "PutObject", kind: "write", bucket: "photos" });
    await expect(done).rejects.toMatchObject({ code: "ServiceUnavailable", cause });
  });

  it.each<[string, Failure, string]>([
    ["a refused request", new Failure("AccessDenied", "no"), "refused"],
    ["a failure of ours", new Failure("ServiceUnavailable", "no"), "failed"],
    ["what does not authenticate", new Failure("InternalError", "no", { tamper: true }), "tamper"],
  ])("gives %s its outcome", (_sentence, failure, outcome) => {
    const { lines } = written(all, { operation: "GetObject", kind: "read", bucket: "photos", failure });
    expect(JSON.parse(lines[0] ?? "")).toMatchObject({ outcome, code: failure.code });
  });

  it.each<[Settings["audit"], AuditEvent["kind"], number]>([
    [{ enabled: false, level: "All" }, "write", 0],
    [{ enabled: true, level: "Writes" }, "read", 0],
    [{ enabled: true, level: "Writes" }, "write", 1],
    [{ enabled: true, level: "Writes" }, "key", 1],
    [{ enabled: true, level: "Keys" }, "write", 0],
    [{ enabled: true, level: "Keys" }, "key", 1],
  ])("with %j writes of a %s event %i lines", (audit, kind, count) => {
    expect(written(audit, { operation: "X", kind, bucket: "photos" }).lines).toHaveLength(count);
  });

  it("writes and counts tampering at any level", () => {
    const failure = new Failure("InternalError", "no", { tamper: true });
    const result = written({ enabled: false, level: "Keys" }, { operation: "X", kind: "read", bucket: "b", failure });
    expect([result.lines.length, result.tampered]).toEqual([1, 1]);
  });
});
