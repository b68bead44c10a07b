// How long to wait after failures in a row. Half of every wait is drawn, so that many who failed together do not come
// back together.

export interface BackoffLimits {
  readonly firstMs: number;
  readonly mostMs: number;
}

/** `failures` in a row, from 1. */
export function backoffMs(failures: number, { firstMs, mostMs }: BackoffLimits, random: () => number): number {
  const wholeMs = Math.min(mostMs, firstMs * 2 ** Math.min(failures - 1, 30));
  return wholeMs / 2 + (wholeMs / 2) * random();
}
