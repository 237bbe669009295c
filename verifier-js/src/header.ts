// Headers and their seals as bytes.
// Rules: HDR-1, HDR-2, HDR-3, HDR-4, SEAL-1, SEAL-2.

import { sha256 } from "@noble/hashes/sha2.js";

import { fromLE, join, Reader, toLE } from "./bytes.js";
import { tagged } from "./hash.js";
import { readGroup, writeGroup, type Group } from "./plot.js";
import { proofLength, readProof, writeProof } from "./proof.js";
import { check } from "./rule.js";

export interface Header {
  readonly version: number;
  readonly parent: Uint8Array;
  readonly root: Uint8Array;
  readonly time: number;
  readonly bits: number;
  readonly nonce: number;
}

export interface Claim {
  readonly chain: Uint8Array;
  readonly height: number;
  readonly slot: bigint;
  readonly difficulty: bigint;
  readonly seed: Uint8Array;
  readonly group: Group;
  readonly index: number;
  readonly xValues: readonly number[];
  readonly vrfOutput: Uint8Array;
}

export interface SealedHeader {
  readonly header: Header;
  readonly claim: Claim;
  readonly vrfProof: Uint8Array;
  readonly signature: Uint8Array;
}

/** HDR-2. */
function readHeader(reader: Reader): Header {
  return {
    version: reader.number(4),
    parent: reader.take(32),
    root: reader.take(32),
    time: reader.number(4),
    bits: reader.number(4),
    nonce: reader.number(4),
  };
}

/** HDR-2: the 80 bytes. */
export function writeHeader(header: Header): Uint8Array {
  const { version, parent, root, time, bits, nonce } = header;
  return join(toLE(version, 4), parent, root, toLE(time, 4), toLE(bits, 4), toLE(nonce, 4));
}

/** HDR-1. */
export function blockId(header: Header): Uint8Array {
  return sha256(sha256(writeHeader(header)));
}

/** SEAL-1. */
function readClaim(reader: Reader): Claim {
  const chain = reader.take(32);
  const height = reader.number(4);
  const slot = reader.bigint(8);
  const difficulty = reader.bigint(16);
  const seed = reader.take(32);
  const group = readGroup(reader);
  const index = reader.number(2);
  const xValues = readProof(group.k, reader.take(proofLength(group.k)));
  return { chain, height, slot, difficulty, seed, group, index, xValues, vrfOutput: reader.take(32) };
}

/** SEAL-1. */
export function writeClaim(claim: Claim): Uint8Array {
  return join(
    claim.chain,
    toLE(claim.height, 4),
    toLE(claim.slot, 8),
    toLE(claim.difficulty, 16),
    claim.seed,
    writeGroup(claim.group),
    toLE(claim.index, 2),
    writeProof(claim.group.k, claim.xValues),
    claim.vrfOutput,
  );
}

/** HDR-4. */
export function commitmentOf(claim: Claim): Uint8Array {
  return tagged("seal", writeClaim(claim));
}

/** HDR-3: what version and nonce must be for a claim. */
export function commitmentFields(claim: Claim): Pick<Header, "version" | "nonce"> {
  const commitment = commitmentOf(claim);
  const field = (at: number): number => Number(fromLE(commitment.subarray(at, at + 4)));
  return { version: field(0), nonce: field(4) };
}

/** SEAL-2: one sealed header of several that follow each other. */
export function readSealedFrom(reader: Reader): SealedHeader {
  return {
    header: readHeader(reader),
    claim: readClaim(reader),
    vrfProof: reader.take(96),
    signature: reader.take(64),
  };
}

/** SEAL-2: a sealed header, and nothing after it. */
export function readSealed(bytes: Uint8Array): SealedHeader {
  const reader = new Reader(bytes);
  const sealed = readSealedFrom(reader);
  check(reader.left === 0, "SEAL-2", `${reader.left} bytes follow the sealed header`);
  return sealed;
}

export function writeSealed(sealed: SealedHeader): Uint8Array {
  return join(writeHeader(sealed.header), writeClaim(sealed.claim), sealed.vrfProof, sealed.signature);
}
