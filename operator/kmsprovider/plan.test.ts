import { describe, expect, test } from "vitest";
import type { KmsProvider, KmsProviderStatus } from "../../crds/kmsprovider.ts";
import { API_VERSION } from "../../crds/names.ts";
import { statusProblems, validate } from "../../crds/validate.ts";
import { conditionOf, sameStatus } from "../conditions.ts";
import { isRotationWished, type KeyFound, type ObservedProvider, planProvider } from "./plan.ts";

const NOW = new Date("2026-03-10T12:00:00Z");
const RING = "0123456789abcdef0123456789abcdef";

function provider(spec: object = {}, status: Partial<KmsProviderStatus> = {}): KmsProvider {
  const made = validate({
    apiVersion: API_VERSION,
    kind: "KmsProvider",
    metadata: { name: "local" },
    spec: { type: "Local", ...spec },
  });
  if ("problems" in made) throw new Error(JSON.stringify(made.problems));
  const object = made.object as KmsProvider;
  return {
    ...object,
    metadata: { ...object.metadata, generation: 3 },
    status: { ...object.status, conditions: [], ...status },
  };
}

function key(version: string, more: Partial<NonNullable<KmsProviderStatus["key"]>> = {}) {
  return { id: RING, version, generation: 0, ...more };
}

function found(version: string, id = RING): KeyFound {
  return { kind: "found", id, version };
}

function observed(of: KmsProvider, changes: Partial<ObservedProvider> = {}): ObservedProvider {
  return {
    provider: of,
    key: found("1"),
    isReadAnew: true,
    probe: { outcome: "same" },
    failures: 0,
    ringPlace: "secrets/local-key-ring/ring.json",
    endpoint: undefined,
    usedByBuckets: 2,
    rotateFailure: undefined,
    isRotating: false,
    ...changes,
  };
}

function plan(of: KmsProvider, changes: Partial<ObservedProvider> = {}, now = NOW) {
  const planned = planProvider(observed(of, changes), now);
  expect(statusProblems("KmsProvider", planned.status)).toEqual([]);
  return planned;
}

function reasons({ status }: { status: KmsProviderStatus }) {
  return Object.fromEntries((status.conditions ?? []).map((one) => [one.type, `${one.status} ${one.reason}`]));
}

describe("planProvider()", () => {
  test("shows Unknown on the first visit, and does nothing yet", () => {
    const first = provider();
    delete first.status.conditions;
    const planned = plan(first, { key: { kind: "absent" } });
    expect(planned).toMatchObject({ actions: [], againAfterMs: 0 });
    expect(reasons(planned)).toMatchObject({ Ready: "Unknown NotChecked", Reconciling: "True ChangeInProgress" });
    expect(planned.status.observedGeneration).toBe(3);
  });

  test("makes a ring where none has ever been", () => {
    const planned = plan(provider(), { key: { kind: "absent" }, probe: undefined });
    expect(planned.actions).toEqual([{ kind: "makeRing", provider: "local" }]);
    expect(planned.againAfterMs).toBe(0);
  });

  test("makes the account of its login where that is missing, and says so meanwhile", () => {
    const planned = plan(provider(), { key: { kind: "loginMissing", account: "coffer-kms" }, probe: undefined });
    expect(planned.actions).toEqual([{ kind: "makeLogin", provider: "local" }]);
    expect(planned.againAfterMs).toBeGreaterThan(0);
    expect(reasons(planned)).toMatchObject({
      CredentialsResolved: "False ServiceAccountNotFound",
      Reconciling: "True ChangeInProgress",
    });
  });

  test.each(["ServiceAccountNotFound", "TokenRequestDenied"] as const)(
    "looks again at what nobody tells of: %s",
    (reason) => {
      const planned = plan(provider(), { key: { kind: "unresolved", reason, message: "no" }, probe: undefined });
      expect(planned.againAfterMs).toBeGreaterThan(0);
    },
  );

  test("is ready with a key that works, and says what to back up", () => {
    const planned = plan(provider());
    expect(reasons(planned)).toEqual({
      Ready: "True Ready",
      ConfigurationValid: "True ConfigurationAccepted",
      CredentialsResolved: "True CredentialsFound",
      Reachable: "True ProbeSucceeded",
      KeyUsable: "True KeyVerified",
      RotationCurrent: "True UpToDate",
    });
    const { id } = key("1");
    expect(conditionOf(planned.status.conditions, "KeyUsable")?.message).toContain(
      `Back up secrets/local-key-ring/ring.json (key ring ${id}, version 1)`,
    );
    expect(planned.status).toMatchObject({ key: key("1"), usedBy: { buckets: 2 }, observedGeneration: 3 });
    expect(planned.events).toMatchObject([
      { type: "Normal", reason: "KeyRingCreated", message: expect.stringContaining("back it up") },
      { type: "Normal", reason: "Ready", message: "ready with key version 1" },
    ]);
  });

  test("changes nothing when it is asked again", () => {
    const { status } = plan(provider());
    const again = plan(provider({}, status), {}, new Date(NOW.getTime() + 60_000));
    expect(sameStatus(again.status, status)).toBe(true);
    expect(again).toMatchObject({ actions: [], events: [] });
  });

  const failures: Record<string, [changes: Partial<ObservedProvider>, ready: string, message: RegExp]> = {
    "a ring that has gone is never made again": [
      { key: { kind: "absent" } },
      "False KeyRingLost",
      /has gone\. Restore key ring 0123/,
    ],
    "a ring of another id is as good as lost": [
      { key: found("1", "ff".repeat(16)) },
      "False KeyRingLost",
      /Restore key ring 0123/,
    ],
    "an older state of the ring is as good as lost": [
      { key: found("4") },
      "False KeyRingLost",
      /holds key ring .* with version 4, where/,
    ],
    "what is no ring is named": [
      { key: { kind: "invalid", message: "is not JSON" } },
      "False KeyRingInvalid",
      /is not JSON/,
    ],
    "a Secret that is missing is named": [
      { key: { kind: "unresolved", reason: "SecretNotFound", message: 'Secret "mine" is missing' } },
      "False SecretNotFound",
      /"mine"/,
    ],
    "a KMS that answers with another key is not used": [
      { probe: { outcome: "different" } },
      "False ProbeMismatch",
      /another key/,
    ],
    "a KMS that cannot be reached": [
      { probe: { outcome: "failed", code: "unreachable", message: "No answer" }, failures: 3 },
      "False ConnectionFailed",
      /No answer/,
    ],
    "a KMS that cannot be reached, and where it should be": [
      {
        probe: { outcome: "failed", code: "unreachable", message: "No answer (ENOTFOUND)" },
        failures: 3,
        endpoint: "https://vault",
      },
      "False ConnectionFailed",
      /^No answer \(ENOTFOUND\): check its address, https:\/\/vault, and the network between\. Pods serve on with the keys that they have in memory, each for as long as cache.ttl \(5m\)$/,
    ],
    "a KMS that refuses the login, where another worked before": [
      { probe: { outcome: "failed", code: "credentials", message: "Refused" }, failures: 3 },
      "False LoginFailed",
      /^Refused: check what spec.vault.auth names\. Pods go on with what they have, for as long as that is good$/,
    ],
    "a KMS whose certificate is not trusted": [
      { probe: { outcome: "failed", code: "tls", message: "No trust" }, failures: 3 },
      "False TLSFailed",
      /^No trust: check caBundleRef and tlsServerName\. Pods go on with what they have/,
    ],
    "a sealed KMS": [
      { probe: { outcome: "failed", code: "sealed", message: "Sealed" }, failures: 3 },
      "False Sealed",
      /Sealed/,
    ],
    "a key that we may not use": [
      { probe: { outcome: "failed", code: "denied", message: "May not wrap" }, failures: 3 },
      "False PermissionDenied",
      /May not wrap/,
    ],
  };
  test.each(Object.entries(failures))("%s", (_sentence, [changes, ready, message]) => {
    const planned = plan(provider({}, { key: key("5") }), { key: found("5"), ...changes });
    expect(reasons(planned)["Ready"]).toBe(ready);
    expect(conditionOf(planned.status.conditions, "Ready")?.message).toMatch(message);
    expect(planned.actions).toEqual([]);
    expect(planned.status.key).toEqual(key("5"));
    expect(planned.events).toMatchObject([{ type: "Warning" }]);
    expect(JSON.stringify(planned.status.conditions)).not.toMatch(/NotChecked|Not checked/);
  });

  test("stays ready until so many probes in a row have failed, and shows the failure at once", () => {
    const { status } = plan(provider());
    const probe = { outcome: "failed", code: "unreachable", message: "No answer" } as const;
    const within = plan(provider({}, status), { probe, failures: 2 });
    expect(reasons(within)).toMatchObject({ Ready: "True Ready", Reachable: "False ConnectionFailed" });
    expect(reasons(plan(provider({}, status), { probe, failures: 3 }))["Ready"]).toBe("False ConnectionFailed");
  });

  describe("while the key is not at hand", () => {
    const failed = { outcome: "failed", code: "unreachable", message: "No answer" } as const;
    const { status: ready } = plan(provider());
    const { status: out } = plan(provider({}, ready), { probe: failed, failures: 3 });

    test("says of what it cannot know what stands in its way", () => {
      expect(reasons({ status: out })).toMatchObject({
        Ready: "False ConnectionFailed",
        CredentialsResolved: "True CredentialsFound",
        Reachable: "False ConnectionFailed",
        KeyUsable: "Unknown ConnectionFailed",
      });
      const condition = conditionOf(out.conditions, "KeyUsable");
      expect(condition?.message).toBe("Cannot be told while Reachable is False");
    });

    test.each([
      ["a working key", ready],
      ["an outage", out],
    ])("goes on saying what is known of %s until it was tried anew", (_sentence, status) => {
      const planned = plan(provider({}, status), { probe: undefined });
      const { Reconciling: _reconciling, ...found } = reasons(planned);
      expect(found).toEqual(reasons({ status }));
      expect(planned.events).toEqual([]);
    });

    test("knows nothing yet of a key that a new spec names", () => {
      const changed = provider({}, ready);
      changed.metadata.generation = 4;
      const planned = plan(changed, { probe: undefined });
      expect(reasons(planned)).toMatchObject({ Ready: "Unknown NotChecked", KeyUsable: "Unknown NotChecked" });
      expect(conditionOf(planned.status.conditions, "KeyUsable")?.message).toBe("It is being tried again");
      const again = plan({ ...changed, status: planned.status }, { probe: undefined });
      expect(sameStatus(again.status, planned.status)).toBe(true);
    });

    test("does not go on with what stood in its way when that has gone", () => {
      const unresolved = { kind: "unresolved", reason: "SecretNotFound", message: "no" } as const;
      const { status } = plan(provider({}, ready), { key: unresolved, probe: undefined });
      expect(reasons({ status })).toMatchObject({ KeyUsable: "Unknown SecretNotFound" });
      const planned = plan(provider({}, status), { probe: undefined });
      expect(reasons(planned)).toMatchObject({ Ready: "Unknown NotChecked", KeyUsable: "Unknown NotChecked" });
    });
  });

  describe("of a key in Vault", () => {
    const vault = { address: "https://vault", keyName: "k", auth: { tokenSecretRef: { name: "t", key: "token" } } };
    const inVault = (status: Partial<KmsProviderStatus> = {}) => provider({ type: "Vault", vault }, status);
    const id = "transit/k";

    test("waits for the first look without a word of failure", () => {
      const planned = plan(inVault(), { key: { kind: "pending" }, probe: undefined });
      expect(reasons(planned)).toMatchObject({ Ready: "Unknown NotChecked", Reconciling: "True ChangeInProgress" });
      expect(planned).toMatchObject({ actions: [], events: [] });
    });

    test("is ready with one that works, and asks for no backup", () => {
      const planned = plan(inVault(), { key: found("4", id), endpoint: "https://vault" });
      expect(reasons(planned)).toMatchObject({ Ready: "True Ready", KeyUsable: "True KeyVerified" });
      expect(conditionOf(planned.status.conditions, "KeyUsable")?.message).not.toContain("Back up");
      expect(planned.status).toMatchObject({ key: { id, version: "4" }, endpoint: "https://vault" });
    });

    test("takes a newer version over that Vault made", () => {
      const { status } = plan(inVault({ key: key("4", { id }) }), { key: found("5", id) });
      expect(status.key?.version).toBe("5");
      expect(conditionOf(status.conditions, "Ready")?.status).toBe("True");
    });

    test("is not usable where another stands in its place, and is once more when its version is back", () => {
      const { status: ready } = plan(inVault({ key: key("6", { id }) }), { key: found("6", id) });
      const planned = plan(inVault(ready), { key: found("1", id) });
      expect(planned.actions).toEqual([]);
      expect(planned.status.key).toEqual(key("6", { id }));
      expect(reasons(planned)).toMatchObject({
        Ready: "False KeyNotFound",
        Reachable: "True ProbeSucceeded",
        KeyUsable: "False KeyNotFound",
      });
      expect(conditionOf(planned.status.conditions, "Ready")?.message).toMatch(
        /^KMS key "transit\/k" had version 6, and its newest is 1 now: .* Restore it with version 6 from your backup/,
      );
      expect(planned.events).toMatchObject([{ type: "Warning", reason: "KeyNotFound" }]);
      const back = plan(inVault(planned.status), { key: found("6", id) });
      expect(reasons(back)).toMatchObject({ Ready: "True Ready", KeyUsable: "True KeyVerified" });
    });

    test("is not rotated while another stands in its place, and its intent stays", () => {
      const rotation = { cause: "Generation", fromVersion: "6", startTime: "2026-03-10T12:00:00Z" } as const;
      const planned = plan(inVault({ key: key("6", { id }), rotation }), { key: found("1", id) });
      expect(planned.actions).toEqual([]);
      expect(planned.status.rotation).toEqual(rotation);
    });

    test("is another key, and not an older one, where the spec names another place", () => {
      const { status } = plan(inVault({ key: key("6", { id: "transit/other" }) }), { key: found("1", id) });
      expect(status.key).toMatchObject({ id, version: "1" });
      expect(conditionOf(status.conditions, "Ready")?.status).toBe("True");
    });

    test("is the user's mistake where the certificates cannot be read", () => {
      const misconfigured = {
        kind: "misconfigured",
        reason: "CertificateAuthorityInvalid",
        message: "No PEM",
      } as const;
      expect(reasons(plan(inVault(), { key: misconfigured, probe: undefined }))).toMatchObject({
        Ready: "False CertificateAuthorityInvalid",
        Stalled: "True CertificateAuthorityInvalid",
      });
    });

    test("is an outage, and nobody's mistake, where Vault is sealed before it was ever seen", () => {
      const sealed = { kind: "failed", code: "sealed", message: "Vault is sealed" } as const;
      const planned = plan(inVault(), { key: sealed, probe: undefined });
      expect(reasons(planned)).toMatchObject({ Ready: "False Sealed" });
      expect(reasons(planned)["Stalled"]).toBeUndefined();
    });

    test("is rotated like any other", () => {
      const raised = { type: "Vault", vault, keyRotation: { keyGeneration: 1 } };
      const intent = plan(provider(raised, { key: key("1", { id }) }), { key: found("1", id) });
      expect(intent.status.rotation).toMatchObject({ fromVersion: "1" });
      const asked = plan(provider(raised, intent.status), { key: found("1", id) });
      expect(asked.actions).toEqual([{ kind: "rotate", provider: "local", ifVersion: "1" }]);
    });
  });

  test.each([
    ["61 * * * *", undefined, "ScheduleInvalid"],
    ["0 3 * * *", "Europe/Atlantis", "TimeZoneUnknown"],
  ])("refuses the schedule %s in the time zone %s, and goes on with the key", (schedule, timeZone, reason) => {
    const keyRotation = { schedule, ...(timeZone === undefined ? {} : { timeZone }) };
    const untried = plan(provider({ keyRotation }), { probe: undefined });
    expect(reasons(untried)).toMatchObject({ Stalled: `True ${reason}` });
    expect(reasons(untried)["Reconciling"]).toBeUndefined();
    const planned = plan(provider({ keyRotation }));
    expect(reasons(planned)).toMatchObject({ Stalled: `True ${reason}`, KeyUsable: "True KeyVerified" });
  });
});

describe("rotation", () => {
  const raised = { keyRotation: { keyGeneration: 2 } };

  test("adopts the counter of a resource that is seen for the first time", () => {
    const planned = plan(provider(raised));
    expect(planned.status.key).toEqual(key("1", { generation: 2 }));
    expect(planned.status.rotation).toBeUndefined();
  });

  test("writes an intent before it asks for anything", () => {
    const planned = plan(provider(raised, { key: key("1") }));
    expect(planned).toMatchObject({ actions: [], againAfterMs: 0 });
    expect(planned.status).toMatchObject({
      key: key("1", { generation: 2 }),
      rotation: { cause: "Generation", fromVersion: "1", startTime: "2026-03-10T12:00:00Z" },
    });
    expect(reasons(planned)).toMatchObject({ RotationCurrent: "False RotationInProgress", Ready: "True Ready" });
  });

  test("writes no intent before the newest version was read anew: somebody else may have made one", () => {
    const planned = plan(provider(raised, { key: key("1") }), { isReadAnew: false });
    expect(planned.actions).toEqual([]);
    expect(planned.status.key).toEqual(key("1"));
    expect(planned.status.rotation).toBeUndefined();
    expect(planned.againAfterMs).toBeGreaterThan(0);
    expect(reasons(planned)).toMatchObject({
      RotationCurrent: "False RotationInProgress",
      Reconciling: "True ChangeInProgress",
      Ready: "True Ready",
    });
    const read = plan(provider(raised, planned.status), { key: found("2") });
    expect(read.status.rotation).toMatchObject({ cause: "Generation", fromVersion: "2" });
  });

  test("says what stands in the way of reading the newest version, and keeps the wish", () => {
    const probe = { outcome: "failed", code: "unreachable", message: "No answer" } as const;
    const planned = plan(provider(raised, { key: key("1") }), { isReadAnew: false, probe, failures: 1 });
    expect(conditionOf(planned.status.conditions, "RotationCurrent")).toMatchObject({
      reason: "RotationFailed",
      message: "No answer. It is tried again",
    });
    expect(planned.status).toMatchObject({ key: key("1") });
    expect(planned.status.rotation).toBeUndefined();
  });

  test("asks for a version newer than the intent's, as often as it takes", () => {
    const { status } = plan(provider(raised, { key: key("1") }));
    const planned = plan(provider(raised, status));
    expect(planned.actions).toEqual([{ kind: "rotate", provider: "local", ifVersion: "1" }]);
    expect(planned.status.rotation).toEqual(status.rotation);
  });

  test("asks for nothing more while one rotation goes on, which tells when it has ended", () => {
    const { status } = plan(provider(raised, { key: key("1") }));
    const planned = plan(provider(raised, status), { isRotating: true });
    expect(planned).toMatchObject({ actions: [], againAfterMs: undefined });
    expect(planned.status.rotation).toEqual(status.rotation);
    expect(reasons(planned)).toMatchObject({
      RotationCurrent: "False RotationInProgress",
      Reconciling: "True ChangeInProgress",
    });
  });

  test("ends the intent when there is a newer version, whoever made it, and rotates no more", () => {
    const { status } = plan(provider(raised, { key: key("1") }));
    const done = plan(provider(raised, status), { key: found("2") });
    expect(done.actions).toEqual([]);
    expect(done.status.rotation).toBeUndefined();
    expect(done.status.key).toEqual(key("2", { generation: 2, lastRotationTime: "2026-03-10T12:00:00Z" }));
    expect(done.events).toContainEqual({
      type: "Normal",
      reason: "KeyRotated",
      message: "rotated to version 2: back up secrets/local-key-ring/ring.json again",
    });
    const rest = plan(provider(raised, done.status), { key: found("2") });
    expect(rest.actions).toEqual([]);
    expect(sameStatus(rest.status, done.status)).toBe(true);
  });

  test("does not lose a rise that comes while it rotates", () => {
    const { status } = plan(provider(raised, { key: key("1") }));
    const higher = { keyRotation: { keyGeneration: 3 } };
    const done = plan(provider(higher, status), { key: found("2") });
    const again = plan(provider(higher, done.status), { key: found("2") });
    expect(again.status.rotation).toMatchObject({ cause: "Generation", fromVersion: "2" });
  });

  test("says of a rotation that failed why, and goes on trying", () => {
    const { status } = plan(provider(raised, { key: key("1") }));
    const planned = plan(provider(raised, status), { rotateFailure: "May not rotate" });
    expect(reasons(planned)["RotationCurrent"]).toBe("False RotationFailed");
    expect(planned.actions).toHaveLength(1);
    expect(planned.events).toContainEqual({
      type: "Warning",
      reason: "RotationFailed",
      message: "May not rotate. It is tried again",
    });
  });

  test("keeps its intent while the ring is lost", () => {
    const { status } = plan(provider(raised, { key: key("1") }));
    const planned = plan(provider(raised, status), { key: { kind: "absent" } });
    expect(planned.actions).toEqual([]);
    expect(planned.status.rotation).toEqual(status.rotation);
  });

  test("refuses to rotate a ring that a person keeps, and stays ready", () => {
    const local = { keySecretRef: { name: "mine", key: "ring.json" } };
    const planned = plan(provider({ ...raised, local }, { key: key("1") }));
    expect(reasons(planned)).toMatchObject({
      Ready: "True Ready",
      RotationCurrent: "False RotationUnsupported",
      Stalled: "True RotationUnsupported",
    });
    expect(planned.status.key?.generation).toBe(0);
    expect(planned.status.rotation).toBeUndefined();
  });

  test("asks for no backup after the rotation of a key that is elsewhere", () => {
    const vault = { address: "https://vault", keyName: "k", auth: { tokenSecretRef: { name: "t", key: "token" } } };
    const inVault = { ...raised, type: "Vault", vault } as const;
    const { status } = plan(provider(inVault, { key: key("1") }));
    const done = plan(provider(inVault, status), { key: found("2") });
    expect(done.events).toContainEqual({ type: "Normal", reason: "KeyRotated", message: "rotated to version 2" });
  });

  test("takes a version over that somebody else made", () => {
    const planned = plan(provider({}, { key: key("1") }), { key: found("2") });
    expect(planned.status.key).toEqual(key("2"));
    expect(planned.events).toContainEqual({
      type: "Normal",
      reason: "KeyRotated",
      message: "version 2 is in use now: back up secrets/local-key-ring/ring.json again",
    });
  });
});

describe("isRotationWished()", () => {
  const raised = { keyRotation: { keyGeneration: 1 } };
  const due = key("1", { nextRotationTime: "2026-03-01T02:00:00Z" });
  const rotation = { cause: "Generation", fromVersion: "1", startTime: "2026-03-10T12:00:00Z" } as const;
  const cases: Record<string, [of: KmsProvider, isWished: boolean]> = {
    "is so for a rise": [provider(raised, { key: key("1") }), true],
    "is so for a date that has come": [provider({ keyRotation: { schedule: "0 3 1 * *" } }, { key: due }), true],
    "is not so for a rise that was dealt with": [provider(raised, { key: key("1", { generation: 1 }) }), false],
    "is not so for a counter that is adopted": [provider(raised), false],
    "is not so for a date of a schedule that cannot be": [
      provider({ keyRotation: { schedule: "61 * * * *" } }, { key: due }),
      false,
    ],
    "is not so where the intent stands already": [provider(raised, { key: key("1"), rotation }), false],
  };
  test.each(Object.entries(cases))("%s", (_sentence, [of, isWished]) => {
    expect(isRotationWished(of, NOW)).toBe(isWished);
  });
});

describe("schedule", () => {
  const monthly = { keyRotation: { schedule: "0 3 1 * *", timeZone: "Europe/Berlin" } };

  test("shows its next date in the time zone, and comes again then", () => {
    const planned = plan(provider(monthly));
    expect(planned.status.key?.nextRotationTime).toBe("2026-04-01T01:00:00Z");
    expect(planned.againAfterMs).toBe(Date.parse("2026-04-01T01:00:00Z") - NOW.getTime());
  });

  test("runs once for all the dates that were missed", () => {
    const missed = key("1", { nextRotationTime: "2025-06-01T01:00:00Z" });
    const intent = plan(provider(monthly, { key: missed }));
    expect(intent.status.rotation).toMatchObject({ cause: "Schedule", fromVersion: "1" });
    const done = plan(provider(monthly, intent.status), { key: found("2") });
    expect(done.status.key?.nextRotationTime).toBe("2026-04-01T01:00:00Z");
    expect(plan(provider(monthly, done.status), { key: found("2") }).status.rotation).toBeUndefined();
  });

  test("rotates for a rise and for a date, once each", () => {
    const both = { keyRotation: { ...monthly.keyRotation, keyGeneration: 1 } };
    const due = key("1", { nextRotationTime: "2026-03-01T02:00:00Z" });
    const first = plan(provider(both, { key: due }));
    expect(first.status.rotation).toMatchObject({ cause: "Generation" });
    const done = plan(provider(both, first.status), { key: found("2") });
    const second = plan(provider(both, done.status), { key: found("2") });
    expect(second.status.rotation).toMatchObject({ cause: "Schedule", fromVersion: "2" });
    const rest = plan(provider(both, second.status), { key: found("3") });
    expect(plan(provider(both, rest.status), { key: found("3") }).status.rotation).toBeUndefined();
  });

  test("forgets the date of a schedule that was taken away", () => {
    const due = key("1", { nextRotationTime: "2026-03-01T02:00:00Z" });
    const planned = plan(provider({}, { key: due }));
    expect(planned.status.rotation).toBeUndefined();
    expect(planned.status.key).toEqual(key("1"));
  });
});
