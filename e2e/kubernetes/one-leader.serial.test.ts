// Of two operators one leads. When it dies by kill -9 the other takes over within 20 seconds; when it was only frozen, it
// finds on waking that it leads no more, and writes nothing.

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { waitFor } from "../harness.ts";
import { type AuditEntry, auditEntries, auditMark, operatorUser } from "./audit.ts";
import { sharedCluster } from "./cluster.ts";
import { leader, leaderOfTwo, untilAnotherLeads } from "./leading.ts";
import { localProvider } from "./manifests.ts";
import { type Leader, OPERATOR, scaleOperator } from "./operatorpods.ts";
import { Signals } from "./signals.ts";
import { createTeam, type Team } from "./team.ts";

/** What a quiet machine is promised, and what a busy one is given beside it. */
const FAILOVER_MS = 20_000;
const PATIENCE = 4;
const READY_MS = 120_000;
/** So often one that woke has looked at the lease when it is past all that it was about to do. */
const LOOKS = 3;
const LOOKS_MS = 120_000;
const LOOK_AGAIN_MS = 200;

const WRITES = ["create", "update", "patch", "delete", "deletecollection"];

function podOf({ user }: AuditEntry): string | undefined {
  const { extra } = user as { extra?: Readonly<Record<string, readonly string[]>> };
  return extra?.["authentication.kubernetes.io/pod-name"]?.[0];
}

function isLease({ objectRef }: AuditEntry): boolean {
  return objectRef?.resource === "leases" && objectRef.name === OPERATOR;
}

/** Asking for a token changes nothing. */
function isWrite(entry: AuditEntry): boolean {
  return WRITES.includes(entry.verb) && entry.objectRef?.subresource !== "token";
}

function isServed({ responseStatus }: AuditEntry): boolean {
  return responseStatus !== undefined && responseStatus.code < 300;
}

function described({ verb, requestURI, responseStatus, requestReceivedTimestamp }: AuditEntry): string {
  return `${requestReceivedTimestamp} ${verb} ${requestURI}: ${responseStatus?.code}`;
}

describe("one leader", () => {
  let team: Team;
  let signals: Signals;
  let mark: number;
  /** The pods that led, in turn. */
  const leaders: string[] = [];

  beforeAll(async () => {
    team = await createTeam("leader");
    signals = await Signals.create(team);
    mark = await auditMark();
    await scaleOperator(2);
    leaders.push((await leader()).pod);
  });

  afterAll(async () => {
    await scaleOperator(1);
    await team?.remove();
  });

  /** Who led before. */
  async function failover(signal: "KILL" | "STOP", what: string): Promise<Leader> {
    const led = await leaderOfTwo();
    const beganMs = performance.now();
    await signals.send(signal, sharedCluster().operatorNamespace, led.pod);
    await team.apply(localProvider(what));
    await untilAnotherLeads(led);
    const tookMs = performance.now() - beganMs;
    await team.untilReady("kmsproviders", what, READY_MS);
    const workedMs = performance.now() - beganMs;
    leaders.push((await leader()).pod);
    const seconds = (ms: number) => (ms / 1000).toFixed(1);
    process.stdout.write(
      `from SIG${signal} to another leader: ${seconds(tookMs)} s of ${FAILOVER_MS / 1000} s; to its first work done: ${seconds(workedMs)} s\n`,
    );
    expect(tookMs).toBeLessThan(FAILOVER_MS * PATIENCE);
    return led;
  }

  it("is followed by the other within 20 s when it dies, and what happened meanwhile is done", async () => {
    await failover("KILL", "after-death");
  });

  it("that was frozen is followed too, and writes nothing when it wakes", async () => {
    const { pod } = await failover("STOP", "while-frozen");
    const woken = await auditMark();
    await signals.send("CONT", sharedCluster().operatorNamespace, pod);
    const ofWoken = (entry: AuditEntry) => podOf(entry) === pod;
    await waitFor("the one that woke to look at the lease", LOOKS_MS, async () => {
      await sleep(LOOK_AGAIN_MS);
      const looks = await auditEntries(woken, (entry) => ofWoken(entry) && isLease(entry) && entry.verb === "get");
      return looks.length >= LOOKS;
    });
    const written = await auditEntries(woken, (entry) => ofWoken(entry) && isWrite(entry));
    expect(written.filter((entry) => !isLease(entry)).map(described)).toEqual([]);
    expect(written.filter(isServed).map(described)).toEqual([]);
    expect((await leader()).pod).toBe(leaders.at(-1));
  });

  it("alone has written: nobody wrote who did not hold the lease", async () => {
    const entries = await auditEntries(mark, ({ user }) => user.username === operatorUser());
    expect(entries.some((entry) => podOf(entry) !== undefined)).toBe(true);
    let holder = leaders[0];
    for (const entry of entries.filter((one) => isWrite(one) && isServed(one))) {
      if (isLease(entry)) holder = podOf(entry);
      else expect(podOf(entry), described(entry)).toBe(holder);
    }
  });
});
