// Merlin transcripts over STROBE-128: only what a verifier needs, absorbing messages and drawing challenges.
// Rules: what "sr25519 as in schnorrkel" of VRF-1 and SIG-1 stands on.

import { keccakP } from "@noble/hashes/sha3.js";

import { ascii, join, toLE } from "./bytes.js";

/** Bytes of the sponge that take data; two more are for padding. */
const RATE = 166;
const FLAG = { input: 1, data: 2, cipher: 4, meta: 16 } as const;

export class Transcript {
  private readonly bytes = new Uint8Array(200);
  private readonly lanes = new Uint32Array(this.bytes.buffer);
  private at = 0;
  private begin = 0;

  constructor(label: string) {
    this.bytes.set([1, RATE + 2, 1, 0, 1, 96]);
    this.bytes.set(ascii("STROBEv1.0.2"), 6);
    keccakP(this.lanes);
    this.operate(FLAG.meta | FLAG.data);
    this.absorb(ascii("Merlin v1.0"));
    this.append("dom-sep", ascii(label));
  }

  append(label: string, message: Uint8Array): this {
    this.operate(FLAG.meta | FLAG.data);
    this.absorb(join(ascii(label), toLE(message.length, 4)));
    this.operate(FLAG.data);
    this.absorb(message);
    return this;
  }

  challenge(label: string, length: number): Uint8Array {
    this.operate(FLAG.meta | FLAG.data);
    this.absorb(join(ascii(label), toLE(length, 4)));
    this.operate(FLAG.input | FLAG.data | FLAG.cipher);
    return Uint8Array.from({ length }, () => {
      const byte = this.bytes[this.at];
      this.bytes[this.at] = 0;
      this.step();
      return byte;
    });
  }

  /** Opens an operation of STROBE. */
  private operate(flags: number): void {
    const before = this.begin;
    this.begin = this.at + 1;
    this.absorb(Uint8Array.of(before, flags));
    if (flags & FLAG.cipher && this.at !== 0) this.permute();
  }

  private absorb(data: Uint8Array): void {
    for (const byte of data) {
      this.bytes[this.at] ^= byte;
      this.step();
    }
  }

  private step(): void {
    this.at += 1;
    if (this.at === RATE) this.permute();
  }

  private permute(): void {
    this.bytes[this.at] ^= this.begin;
    this.bytes[this.at + 1] ^= 0x04;
    this.bytes[RATE + 1] ^= 0x80;
    keccakP(this.lanes);
    this.at = 0;
    this.begin = 0;
  }
}
