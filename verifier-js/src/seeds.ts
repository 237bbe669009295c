// Where the seed of a period comes from.
// Rules: SEED-1.

import { tagged } from "./hash.js";
import type { Rules } from "./spec.js";

/** SEED-1: `eta(j + 1)` of `eta(j)` and a VRF output. */
export function nextSeed(seed: Uint8Array, vrfOutput: Uint8Array): Uint8Array {
  return tagged("seed", seed, vrfOutput);
}

/** SEED-1: the height of the block whose VRF output makes the seed of a period, from period 1 on. */
export function seedHeight(rules: Rules, period: number): number {
  return period * rules.period_blocks - rules.seed_lag_blocks;
}
