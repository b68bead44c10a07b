// Rows as text: what each costs, and what it costs in proportion to another row of the same run.

import { sizeText } from "./options.ts";
import type { Row } from "./rows.ts";

const COLUMNS = [
  ["server", -8],
  ["operation", -12],
  ["encrypt", -7],
  ["size", 7],
  ["clients", 7],
  ["op/s", 8],
  ["MiB/s", 8],
  ["p50 ms", 8],
  ["p99 ms", 8],
  ["CPU ms/op", 9],
  ["CPU s/GiB", 9],
  ["loop p99", 8],
  ["(idle)", 7],
  ["RSS MiB", 7],
  ["failed", 6],
] as const;

const GIB = 2 ** 30;

export const HEADING = `${line(COLUMNS.map(([name]) => name))}
loop p99: event-loop delay of the server, ms, the 10 ms of its timer included; (idle): that of a thread that does nothing`;

function line(cells: readonly string[]): string {
  return cells
    .map((cell, at) => {
      const width = COLUMNS[at]?.[1] ?? 0;
      return width < 0 ? cell.padEnd(-width) : cell.padStart(width);
    })
    .join(" ");
}

function number(value: number | undefined, digits: number): string {
  return value === undefined || Number.isNaN(value) ? "-" : value.toFixed(digits);
}

export function rowText({
  server,
  encryption,
  operation,
  index,
  sizeBytes,
  clients,
  measured,
  movedBytes,
}: Row): string {
  const { operations, seconds, p50Ms, p99Ms, cpuMs, loopMs, idleLoopMs, rssMib, failed, firstFailure } = measured;
  const text = line([
    server,
    operation,
    index === "aged" ? "on aged" : encryption,
    sizeBytes === undefined ? "-" : sizeText(sizeBytes),
    String(clients),
    number(operations / seconds, operations / seconds < 100 ? 1 : 0),
    movedBytes === 0 ? "-" : number(movedBytes / seconds / 2 ** 20, 1),
    number(p50Ms, 2),
    number(p99Ms, 2),
    operations === 0 ? "-" : number(cpuMs / operations, 3),
    movedBytes === 0 ? "-" : number(cpuMs / 1000 / (movedBytes / GIB), 2),
    number(loopMs, 1),
    number(idleLoopMs, 1),
    number(rssMib, 0),
    String(failed),
  ]);
  return firstFailure === undefined ? text : `${text}\n  ${firstFailure}`;
}

/** Of each row: its processor time in proportion to that of the peer, and of the same without encryption or age. */
export function ratioTexts(rows: readonly Row[], own: string): readonly string[] {
  const texts: string[] = [];
  for (const row of rows.filter(({ server }) => server === own)) {
    const others = rows.filter((other) => isSameLoad(row, other));
    const ratios = others.flatMap((other) => ratioText(row, other, own));
    if (ratios.length > 0) texts.push(`${loadText(row).padEnd(34)} ${ratios.join("   ")}`);
  }
  return texts;
}

function isSameLoad(row: Row, other: Row): boolean {
  const { operation, sizeBytes, clients } = row;
  return other !== row && other.operation === operation && other.sizeBytes === sizeBytes && other.clients === clients;
}

function ratioText(row: Row, other: Row, own: string): readonly string[] {
  const cpu = `CPU ${ratio(costOf(row), costOf(other))}`;
  if (other.server !== own) {
    if (other.encryption !== row.encryption || row.index !== "fresh") return [];
    return [`against ${other.server}: ${cpu}, p99 ${ratio(row.measured.p99Ms, other.measured.p99Ms)}`];
  }
  if (row.index === "aged") return other.encryption === "on" ? [`against a fresh index: ${cpu}`] : [];
  if (row.encryption !== "on" || other.encryption !== "off") return [];
  return [`encryption off needs ${ratio(costOf(other), costOf(row))} of its CPU`];
}

/** Processor time of one operation. */
function costOf({ measured }: Row): number {
  return measured.cpuMs / measured.operations;
}

function ratio(a: number, b: number): string {
  return number(a / b, 2);
}

function loadText({ operation, encryption, index, sizeBytes = 0, clients }: Row): string {
  const how = index === "aged" ? "aged" : encryption === "on" ? "encrypted" : "off";
  return `${operation} ${sizeText(sizeBytes)} × ${clients} ${how}`;
}
