// Fee rates of what waits for a block, in maxwell per virtual byte.

import type { PoolEntry } from "./answers";

export interface Band {
  readonly from: number;
  readonly to: number | undefined;
  readonly count: number;
  readonly vbytes: number;
}

const EDGES = [1, 5, 10, 20, 50, 100, 200, 500, 1_000];

export function rateOf(entry: PoolEntry): number {
  return Math.round(entry.fees.modified * 1e7) / Math.max(1, entry.vsize);
}

/** How much waits at which rates, the dearest first. */
export function bandsOf(entries: readonly PoolEntry[]): Band[] {
  const bands = EDGES.map((from, at) => {
    const to = EDGES[at + 1];
    const own = entries.filter((entry) => rateOf(entry) >= from && (to === undefined || rateOf(entry) < to));
    return { from, to, count: own.length, vbytes: own.reduce((sum, entry) => sum + entry.vsize, 0) };
  });
  return bands.reverse();
}
