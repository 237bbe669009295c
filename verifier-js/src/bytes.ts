// Bytes and the integers in them: the notation of the specification.
// Rules: the section "Notation" of consensus.md.

import { bytesToHex, concatBytes, hexToBytes, utf8ToBytes } from "@noble/hashes/utils.js";

import { check } from "./rule.js";

export { concatBytes as join, bytesToHex as toHex, hexToBytes as fromHex, utf8ToBytes as ascii };

/** The number that bytes stand for, the first the lowest. */
export function fromLE(bytes: Uint8Array): bigint {
  return fromBE(Uint8Array.from(bytes).reverse());
}

/** The number that bytes stand for, the first the highest: how hashes are read. */
export function fromBE(bytes: Uint8Array): bigint {
  return bytes.length === 0 ? 0n : BigInt("0x" + bytesToHex(bytes));
}

export function toLE(value: bigint | number, width: number): Uint8Array {
  return toBE(value, width).reverse();
}

export function toBE(value: bigint | number, width: number): Uint8Array {
  const digits = BigInt(value).toString(16).padStart(2 * width, "0");
  if (digits.length !== 2 * width) throw new RangeError(`${value} does not fit ${width} bytes`);
  return hexToBytes(digits);
}

/** `low(n, v)`: the lowest n bits. */
export function low(bits: number, value: bigint): bigint {
  return BigInt.asUintN(bits, value);
}

/** A block id as people read it: reversed. */
export function idText(id: Uint8Array): string {
  return bytesToHex(Uint8Array.from(id).reverse());
}

export function idFromText(text: string): Uint8Array {
  return hexToBytes(text).reverse();
}

/** Negative, zero or positive as `a` is below, equal to or above `b`, byte by byte. */
export function compare(a: Uint8Array, b: Uint8Array): number {
  const differs = a.findIndex((byte, at) => byte !== b[at]);
  return differs < 0 ? a.length - b.length : a[differs] - (b[differs] ?? -1);
}

export function equal(a: Uint8Array, b: Uint8Array): boolean {
  return compare(a, b) === 0;
}

/** Takes one fixed field after the other from bytes. */
export class Reader {
  private at = 0;

  constructor(private readonly bytes: Uint8Array) {}

  take(width: number): Uint8Array {
    const field = this.bytes.slice(this.at, this.at + width);
    check(field.length === width, "SEAL-2", "the bytes end too early");
    this.at += width;
    return field;
  }

  /** A small little-endian integer, of at most 4 bytes. */
  number(width: 1 | 2 | 4): number {
    return Number(fromLE(this.take(width)));
  }

  bigint(width: number): bigint {
    return fromLE(this.take(width));
  }

  get left(): number {
    return this.bytes.length - this.at;
  }
}
