// Chains of links: which sets a challenge asks for, and which chains answer it.
// Rules: POS-12, POS-13, POS-14, POS-15.

import { blake3 } from "@noble/hashes/blake3.js";

import type { PlotHash } from "./aes.js";
import { fromLE, join, low } from "./bytes.js";
import { check } from "./rule.js";

export const LINKS = 16;

/** The share of chains that pass, beyond whole bits: POS-15. */
const LAST_BELOW = 3127297797138110n;

/** POS-12: the four sets that a challenge picks in all plots of a group. */
export function setsOf(k: number, groupId: Uint8Array, challenge: Uint8Array): bigint[] {
  const g = blake3(join(groupId, challenge));
  return [0, 1, 2, 3].map((i) => {
    const drawn = low(k - 6, fromLE(g.subarray(4 * i, 4 * i + 4)));
    return drawn - (drawn & 3n) + BigInt(i);
  });
}

/** POS-13. */
export function checkTurns(k: number, sets: readonly bigint[], links: readonly bigint[]): void {
  const setOf = (link: bigint): bigint => link >> BigInt(k + 6);
  const starts = [0, 1, 2, 3].some((i) => links.every((link, j) => setOf(link) === sets[(i + j) % 4]));
  check(starts, "POS-13", "the links do not take turns in the sets of the challenge");
}

/** POS-14: the keys that a challenge gives to the links. */
function linkKeys(plotId: Uint8Array, challenge: Uint8Array): bigint[] {
  let digest = challenge;
  return [1, 2, 3, 4].flatMap(() => {
    digest = blake3(join(plotId, digest));
    return [0, 8, 16, 24].map((at) => fromLE(digest.subarray(at, at + 8)));
  });
}

/** POS-14 and POS-15. */
export function checkRunningHash(
  hash: PlotHash,
  plotId: Uint8Array,
  challenge: Uint8Array,
  links: readonly bigint[],
): void {
  const keys = linkKeys(plotId, challenge);
  const zeroBits = (j: number): number => (j === 0 ? 2 : j === LINKS - 1 ? 12 : 6);
  let running = 0n;
  links.forEach((link, j) => {
    running = low(64, hash(16, running ^ link ^ keys[j]));
    check(low(zeroBits(j), running) === 0n, "POS-15", `the running hash fails at link ${j}`);
  });
  check(running >> 12n < LAST_BELOW, "POS-15", "the last running hash is too large");
}
