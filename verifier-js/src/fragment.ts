// Fragments: what a plot keeps of eight x-values, enciphered.
// Rules: POS-10, POS-11.

import { sha256 } from "@noble/hashes/sha2.js";

import { ascii, fromBE, join, low } from "./bytes.js";

type RoundKey = readonly [b: number, c: number, d: number];

/** POS-11: the keys of the four rounds, for k bits. */
function roundKeys(k: number, plotId: Uint8Array): RoundKey[] {
  let state = plotId;
  return [1, 2, 3, 4].map((n) => {
    state = sha256(join(state, ascii("ChiaPos2Fesitel"), Uint8Array.of(n)));
    const bits = fromBE(state);
    const part = (i: number): number => Number(low(k, low(28, bits >> BigInt(256 - 28 * (i + 1)))));
    return [part(0), part(1), part(2)];
  });
}

/** POS-11: the round function on words of k bits. */
function mix(k: number, word: number, key: RoundKey): number {
  const mask = 2 ** k - 1;
  const add = (x: number, y: number): number => (x + y) & mask;
  const rotate = (x: number, by: number): number => ((x << by) | (x >>> (k - by))) & mask;
  let a = word;
  let [b, c, d] = key;
  for (const [first, second] of [[16, 12], [8, 7]] as const) {
    a = add(a, b);
    d = rotate(d ^ a, first);
    c = add(c, d);
    b = rotate(b ^ c, second);
  }
  return b;
}

/** POS-11: the cipher of a plot, from 2k bits to 2k bits. */
export function cipher(k: number, plotId: Uint8Array): (block: bigint) => bigint {
  const keys = roundKeys(k, plotId);
  return (block) => {
    let left = Number(block >> BigInt(k));
    let right = Number(low(k, block));
    for (const key of keys) [left, right] = [right, left ^ mix(k, right, key)];
    return (BigInt(left) << BigInt(k)) + BigInt(right);
  };
}

/** POS-10: the 2k bits that stand for eight x-values before they are enciphered. */
export function upperHalves(k: number, xValues: readonly number[]): bigint {
  const halves = [0, 2, 4, 6].map((j) => BigInt(xValues[j] >>> (k / 2)));
  return halves.reduce((sum, half) => (sum << BigInt(k / 2)) + half, 0n);
}
