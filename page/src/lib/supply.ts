// What has been issued up to a height: the subsidy halves from era to era, and each era is twice as long.

export interface Schedule {
  readonly subsidy_initial: number;
  readonly era_blocks: number;
}

const ERAS = 15;

/** In the smallest units, exact. */
export function issuedAt(height: number, { subsidy_initial, era_blocks }: Schedule): bigint {
  let [left, subsidy, era, sum] = [BigInt(height), BigInt(subsidy_initial), BigInt(era_blocks), 0n];
  for (let n = 0; n < ERAS && left > 0n; n++) {
    const blocks = left < era ? left : era;
    sum += blocks * subsidy;
    left -= blocks;
    subsidy /= 2n;
    era *= 2n;
  }
  return sum;
}
