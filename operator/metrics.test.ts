import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { createManualClock } from "./manualclock.ts";
import { createMetrics, type Metrics } from "./metrics.ts";
import { WorkQueue } from "./queue.ts";

const never = new AbortController().signal;
const PAGE = new URL("../docs/operator-metrics.md", import.meta.url);

function create(): Metrics {
  return createMetrics(() => 1_700_000_000);
}

/** The value of one series, as it is printed. */
async function numberOf(metrics: Metrics, series: string): Promise<number | undefined> {
  const line = (await metrics.print()).split("\n").find((one) => one.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

/** Metrics of our own, without those that every program of Node has. */
async function names(metrics: Metrics): Promise<string[]> {
  const all = [...(await metrics.print()).matchAll(/^# TYPE (\S+) /gm)].map(([, name = ""]) => name);
  return all.filter((name) => !/^(process|nodejs)_/.test(name)).sort();
}

test("says who leads", async () => {
  const metrics = create();
  expect(await numberOf(metrics, "leader_election_master_status")).toBe(0);
  metrics.leads(true);
  expect(await numberOf(metrics, "leader_election_master_status")).toBe(1);
});

test("counts what goes through a queue, what comes again, and what waits", async () => {
  const metrics = create();
  const clock = createManualClock();
  const queue = new WorkQueue(clock, metrics.queue("kmsprovider"));
  const series = (name: string) => numberOf(metrics, `workqueue_${name}{name="kmsprovider"}`);
  queue.add("a");
  queue.add("a");
  queue.add("b");
  expect(await series("adds_total")).toBe(2);
  expect(await series("depth")).toBe(2);
  await clock.pass(1500);
  const item = await queue.take(never);
  expect(await series("depth")).toBe(1);
  expect(await series("queue_duration_seconds_sum")).toBe(1.5);
  queue.addFailed(item);
  queue.done(item);
  expect(await series("retries_total")).toBe(1);
  queue.close();
  expect(await series("depth")).toBe(0);
});

test("counts passes by what came of them, and those under way", async () => {
  const metrics = create();
  const passes = metrics.passes("encryptedbucket", 8);
  const label = '{controller="encryptedbucket"}';
  expect(await numberOf(metrics, `controller_runtime_max_concurrent_reconciles${label}`)).toBe(8);
  expect(await numberOf(metrics, `controller_runtime_reconcile_errors_total${label}`)).toBe(0);
  passes.began();
  expect(await numberOf(metrics, `controller_runtime_active_workers${label}`)).toBe(1);
  passes.ended("error", 0.5);
  expect(await numberOf(metrics, `controller_runtime_active_workers${label}`)).toBe(0);
  expect(await numberOf(metrics, `controller_runtime_reconcile_errors_total${label}`)).toBe(1);
  expect(await numberOf(metrics, `controller_runtime_reconcile_time_seconds_sum${label}`)).toBe(0.5);
  const total = 'controller_runtime_reconcile_total{controller="encryptedbucket",result="error"}';
  expect(await numberOf(metrics, total)).toBe(1);
});

test("says of each KmsProvider when its key was last tried and whether it worked, and forgets one that has gone", async () => {
  const metrics = create();
  const ours = { namespace: "team", name: "vault" };
  const label = '{namespace="team",name="vault"}';
  metrics.looks.looked(ours, "Vault", "unreachable", 2);
  expect(await numberOf(metrics, `coffer_kms_probe_last_success${label}`)).toBe(0);
  metrics.looks.looked(ours, "Vault", "same", 0.25);
  expect(await numberOf(metrics, `coffer_kms_probe_last_success${label}`)).toBe(1);
  expect(await numberOf(metrics, `coffer_kms_probe_last_timestamp_seconds${label}`)).toBe(1_700_000_000);
  expect(await numberOf(metrics, 'coffer_kms_probe_seconds_sum{type="Vault",outcome="same"}')).toBe(0.25);
  metrics.looks.looked({ namespace: "team", name: "other" }, "Local", "same", 0.25);
  metrics.looks.gone(ours);
  expect(await metrics.print()).not.toContain(label);
  metrics.looks.allGone();
  expect(await metrics.print()).not.toContain('name="other"');
});

test("are all on the page for users, which names no others", async () => {
  const rows = [...readFileSync(PAGE, "utf8").matchAll(/^\| `(\w+)` \|/gm)].map(([, name = ""]) => name);
  expect(rows.sort()).toEqual(await names(create()));
});
