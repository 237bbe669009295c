// The hash of a plot: AES rounds with the plot id for keys. Tables, as speed matters a little; not constant time,
// as nothing here is secret.
// Rules: POS-4.

import { fromLE, toLE } from "./bytes.js";

/** x times 2 in the field of AES. */
const double = (x: number): number => ((x << 1) ^ (x & 0x80 ? 0x11b : 0)) & 0xff;

/** The substitution box of FIPS 197: inverse in the field, then the affine map. */
function substitutions(): Uint8Array {
  const box = new Uint8Array(256);
  // p runs over the powers of 3, q over the powers of its inverse, so that p * q = 1.
  let p = 1;
  let q = 1;
  do {
    p ^= double(p);
    q ^= q << 1;
    q ^= q << 2;
    q ^= q << 4;
    q &= 0xff;
    if (q & 0x80) q ^= 0x09;
    const turn = (n: number): number => (q << n) | (q >>> (8 - n));
    box[p] = (q ^ turn(1) ^ turn(2) ^ turn(3) ^ turn(4) ^ 0x63) & 0xff;
  } while (p !== 1);
  box[0] = 0x63;
  return box;
}

/** SubBytes and MixColumns for a byte in row 0, as a little-endian column; row n is that, rotated by n bytes. */
function columns(row: number): Uint32Array {
  return Uint32Array.from(substitutions(), (s) => {
    const column = double(s) | (s << 8) | (s << 16) | ((double(s) ^ s) << 24);
    return row === 0 ? column : (column << (8 * row)) | (column >>> (32 - 8 * row));
  });
}

const [ROW_0, ROW_1, ROW_2, ROW_3] = [0, 1, 2, 3].map(columns) as [
  Uint32Array, Uint32Array, Uint32Array, Uint32Array,
];

/** The four columns of 16 bytes, each as a little-endian word. */
function words(bytes: Uint8Array): Uint32Array {
  return Uint32Array.from([0, 4, 8, 12], (at) => Number(fromLE(bytes.subarray(at, at + 4))));
}

/** One AES round, AESENC: SubBytes, ShiftRows, MixColumns, AddRoundKey, in place. */
export function aesRound(state: Uint32Array, key: Uint32Array): void {
  const [a, b, c, d] = state;
  state[0] = ROW_0[a & 255] ^ ROW_1[(b >>> 8) & 255] ^ ROW_2[(c >>> 16) & 255] ^ ROW_3[d >>> 24] ^ key[0];
  state[1] = ROW_0[b & 255] ^ ROW_1[(c >>> 8) & 255] ^ ROW_2[(d >>> 16) & 255] ^ ROW_3[a >>> 24] ^ key[1];
  state[2] = ROW_0[c & 255] ^ ROW_1[(d >>> 8) & 255] ^ ROW_2[(a >>> 16) & 255] ^ ROW_3[b >>> 24] ^ key[2];
  state[3] = ROW_0[d & 255] ^ ROW_1[(a >>> 8) & 255] ^ ROW_2[(b >>> 16) & 255] ^ ROW_3[c >>> 24] ^ key[3];
}

/** POS-4: `A(n, v)` of one plot, from 128 bits to 128 bits. */
export type PlotHash = (pairs: number, value: bigint) => bigint;

export function plotHash(plotId: Uint8Array): PlotHash {
  const first = words(plotId.subarray(0, 16));
  const second = words(plotId.subarray(16, 32));
  return (pairs, value) => {
    const state = words(toLE(value, 16));
    for (let n = 0; n < pairs; n++) {
      aesRound(state, first);
      aesRound(state, second);
    }
    return state.reduceRight((sum, word) => (sum << 32n) | BigInt(word), 0n);
  };
}
