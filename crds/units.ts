// Durations and byte counts, as the API writes them, become numbers.

const UNIT_MS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };
const BINARY: Readonly<Record<string, bigint>> = { "": 1n, Ki: 1n << 10n, Mi: 1n << 20n, Gi: 1n << 30n, Ti: 1n << 40n };

/** Milliseconds of a Duration such as 1h30m. Throws a RangeError on any other text: validate() lets none through. */
export function durationMs(text: string): number {
  if (!/^([0-9]{1,5}(h|m|s|ms)){1,4}$/.test(text)) {
    throw new RangeError(`"${text}" is not a duration`);
  }
  let sumMs = 0;
  for (const [, count, unit] of text.matchAll(/([0-9]+)(ms|h|m|s)/g)) {
    sumMs += Number(count) * (UNIT_MS[unit ?? ""] ?? 0);
  }
  return sumMs;
}

/** Bytes of a size such as 10Gi. Throws a RangeError on any other text: validate() lets none through. */
export function sizeBytes(text: string): bigint {
  const [, digits, unit] = /^([1-9][0-9]{0,14})(Ki|Mi|Gi|Ti)?$/.exec(text) ?? [];
  const factor = BINARY[unit ?? ""];
  if (digits === undefined || factor === undefined) {
    throw new RangeError(`"${text}" is not a number of bytes`);
  }
  return BigInt(digits) * factor;
}
