// Challenges, the filter of groups, tickets and what wins.
// Rules: CHL-1, FLT-1, LOT-1, LOT-2, LOT-3.

import { fromBE, toLE } from "./bytes.js";
import { tagged } from "./hash.js";
import { filterOf, type ChainSpec, type Rules } from "./spec.js";

/** CHL-1. */
export function challengeOf(beaconId: Uint8Array, seed: Uint8Array, round: bigint): Uint8Array {
  return tagged("challenge", beaconId, seed, toLE(round, 8));
}

/** FLT-1: whether a group is asked in a round, one of `filter` rounds. */
export function isAsked(
  beaconId: Uint8Array,
  seed: Uint8Array,
  groupId: Uint8Array,
  filter: bigint,
  round: bigint,
): boolean {
  return fromBE(tagged("filter", beaconId, seed, groupId)) % filter === round % filter;
}

/** LOT-1: the quality of a proof, from its quality chain. */
export function qualityOf(plotId: Uint8Array, strength: number, links: readonly bigint[]): Uint8Array {
  return tagged("quality", plotId, Uint8Array.of(strength), ...links.map((link) => toLE(link, 8)));
}

/** LOT-1. */
export function ticketOf(
  spec: ChainSpec,
  seed: Uint8Array,
  slot: bigint,
  quality: Uint8Array,
  vrfOutput: Uint8Array,
): Uint8Array {
  return tagged("ticket", spec.id, seed, toLE(slot, 8), quality, vrfOutput);
}

/** LOT-2. */
export function lotteryWeight(rules: Rules, k: number, strength: number): bigint {
  const nominalBytes = 2n ** BigInt(k - 4) * BigInt(2 * k + 3);
  return nominalBytes * filterOf(rules, strength);
}

/** LOT-3. */
export function wins(ticket: Uint8Array, weight: bigint, difficulty: bigint): boolean {
  return (fromBE(ticket) * difficulty) >> 256n < weight;
}
