// Fee rates of what waits for a block, in maxwell per virtual byte.

import type { PoolEntry } from "./answers";

/** What waits at rates from one to another; the dearest band has no end. */
export interface Band {
  readonly from: number;
  readonly to: number | null;
  readonly count: number;
  readonly vbytes: number;
}

export function rateOf(entry: PoolEntry): number {
  return Math.round(entry.fees.modified * 1e7) / Math.max(1, entry.vsize);
}
