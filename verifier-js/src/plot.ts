// What a plot is: its group, its parameters, its id.
// Rules: POS-1, POS-2; the group identity of SEAL-1.

import { sha256 } from "@noble/hashes/sha2.js";

import { join, toBE, type Reader } from "./bytes.js";
import { tagged } from "./hash.js";
import { check } from "./rule.js";

export interface Group {
  readonly k: number;
  readonly strength: number;
  readonly farmer: Uint8Array;
  readonly nonce: Uint8Array;
}

const VERSION = 1;

/** Whether k and strength are within the bounds of POS-1, each for itself. */
function areInBounds(k: number, strength: number): boolean {
  return k % 2 === 0 && k >= 18 && k <= 28 && strength >= 2 && strength <= 17;
}

/** POS-1: whether plots of these parameters have valid proofs. */
export function areParameters(k: number, strength: number): boolean {
  return areInBounds(k, strength) && strength + 2 < k;
}

export function readGroup(reader: Reader): Group {
  check(reader.number(1) === VERSION, "SEAL-1", "the group identity is of an unknown version");
  const group = {
    k: reader.number(1),
    strength: reader.number(1),
    farmer: reader.take(32),
    nonce: reader.take(32),
  };
  check(areInBounds(group.k, group.strength), "SEAL-1", `there is no k ${group.k} with strength ${group.strength}`);
  return group;
}

export function writeGroup(group: Group): Uint8Array {
  return join(Uint8Array.of(VERSION, group.k, group.strength), group.farmer, group.nonce);
}

export function groupId(group: Group): Uint8Array {
  return tagged("group", writeGroup(group));
}

/** POS-2. */
export function plotId(group: Uint8Array, index: number): Uint8Array {
  return sha256(join(group, toBE(index, 2), Uint8Array.of(0)));
}
