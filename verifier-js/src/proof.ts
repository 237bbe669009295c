// A proof as bytes and as 128 numbers.
// Rules: POS-3.

import { fromBE, low, toBE } from "./bytes.js";
import { check } from "./rule.js";

export const X_VALUES = 128;

export function proofLength(k: number): number {
  return (X_VALUES * k) / 8;
}

/** POS-3: the x-values, each of k bits, the highest first. */
export function readProof(k: number, bytes: Uint8Array): number[] {
  check(bytes.length === proofLength(k), "POS-3", `a proof has ${proofLength(k)} bytes, this has ${bytes.length}`);
  const all = fromBE(bytes);
  const place = (i: number): bigint => BigInt((X_VALUES - 1 - i) * k);
  return Array.from({ length: X_VALUES }, (_, i) => Number(low(k, all >> place(i))));
}

export function writeProof(k: number, xValues: readonly number[]): Uint8Array {
  const all = xValues.reduce((sum, x) => (sum << BigInt(k)) | BigInt(x), 0n);
  return toBE(all, proofLength(k));
}
