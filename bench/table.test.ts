import { expect, test } from "vitest";
import type { Row } from "./rows.ts";
import { ratioTexts, rowText } from "./table.ts";

function row(server: string, encryption: "on" | "off", cpuMs: number, more: Partial<Row> = {}): Row {
  const measured = {
    operations: 100,
    seconds: 2,
    failed: 0,
    firstFailure: undefined,
    p50Ms: 1,
    p99Ms: 4,
    cpuMs,
    rssMib: 200,
    loopMs: 12,
    idleLoopMs: 10,
  };
  const load = { operation: "GET", index: "fresh", sizeBytes: 2 ** 20, clients: 4 } as const;
  return { server, encryption, ...load, measured, movedBytes: 100 * 2 ** 20, ...more };
}

test("a row says what an operation and a GiB cost", () => {
  expect(rowText(row("coffer", "on", 250)).split(/\s+/)).toEqual(
    "coffer GET on 1MiB 4 50.0 50.0 1.00 4.00 2.500 2.56 12.0 10.0 200 0".split(" "),
  );
});

test("a row in which nothing succeeded has no cost, and says why", () => {
  const { measured } = row("coffer", "on", 250);
  const failed = { ...measured, operations: 0, failed: 3, firstFailure: "status 503" };
  const text = rowText(row("coffer", "on", 250, { measured: failed, movedBytes: 0 }));
  expect(text).toContain("     3\n  status 503");
  expect(text).not.toContain("Infinity");
});

test("ratios compare the same load: with the peer's, with encryption off and with a fresh index", () => {
  const rows = [
    row("coffer", "on", 200),
    row("minio", "on", 400),
    row("coffer", "off", 150),
    row("minio", "off", 100),
    row("coffer", "on", 300, { index: "aged" }),
    row("minio", "on", 999, { clients: 16 }),
  ];
  expect(ratioTexts(rows, "coffer").map((text) => text.replaceAll(/ +/g, " "))).toEqual([
    "GET 1MiB × 4 encrypted against minio: CPU 0.50, p99 1.00 encryption off needs 0.75 of its CPU",
    "GET 1MiB × 4 off against minio: CPU 1.50, p99 1.00",
    "GET 1MiB × 4 aged against a fresh index: CPU 1.50",
  ]);
});
