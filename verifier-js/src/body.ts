// The body of a block of Mass Net, as far as its header and its evidence depend on it.
// Rules: BODY-1 to BODY-3 of consensus.md; the transaction is BIP-144's.

import { sha256 } from "@noble/hashes/sha2.js";

import type { BodyCommitment } from "./block.js";
import { equal, fromHex, join, Reader } from "./bytes.js";
import { check } from "./rule.js";

/** OP_RETURN and a push of 36 bytes, `MSev` the first four of them. */
const EVIDENCE_HEAD = fromHex("6a244d536576");

/** The same with `MSst`. */
const STATE_HEAD = fromHex("6a244d537374");

/** A compact size of Bitcoin, which has one form only. */
function readSize(reader: Reader): { size: number; bytes: Uint8Array } {
  const first = reader.take(1);
  const width = { 0xfd: 2, 0xfe: 4 }[first[0]] as 2 | 4 | undefined;
  check(first[0] !== 0xff, "BODY-1", "a size above 2^32");
  if (width === undefined) return { size: first[0], bytes: first };
  const rest = reader.take(width);
  const size = rest.reduceRight((sum, byte) => sum * 256 + byte, 0);
  check(size >= (width === 2 ? 0xfd : 0x10000), "BODY-1", "a size that is longer than it must be");
  return { size, bytes: join(first, rest) };
}

/** Bytes with their size before them. */
function readSized(reader: Reader): { content: Uint8Array; bytes: Uint8Array } {
  const { size, bytes } = readSize(reader);
  const content = reader.take(size);
  return { content, bytes: join(bytes, content) };
}

interface Transaction {
  readonly id: Uint8Array;
  readonly scripts: readonly Uint8Array[];
}

/** A transaction with or without witnesses, which its id leaves out. */
function readTransaction(reader: Reader): Transaction {
  const parts = [reader.take(4)];
  let inputs = readSize(reader);
  const hasWitness = inputs.size === 0;
  if (hasWitness) {
    check(reader.number(1) === 1, "BODY-1", "a transaction without inputs");
    inputs = readSize(reader);
  }
  parts.push(inputs.bytes);
  for (let n = 0; n < inputs.size; n++) parts.push(reader.take(36), readSized(reader).bytes, reader.take(4));
  const outputs = readSize(reader);
  parts.push(outputs.bytes);
  const scripts: Uint8Array[] = [];
  for (let n = 0; n < outputs.size; n++) {
    parts.push(reader.take(8));
    const { content, bytes } = readSized(reader);
    scripts.push(content);
    parts.push(bytes);
  }
  for (let n = 0; hasWitness && n < inputs.size; n++) {
    const { size } = readSize(reader);
    for (let item = 0; item < size; item++) readSized(reader);
  }
  parts.push(reader.take(4));
  return { id: sha256(sha256(join(...parts))), scripts };
}

/** BODY-1: Bitcoin's merkle tree, in which two equal neighbours are refused. */
export function merkleRoot(leaves: readonly Uint8Array[]): Uint8Array {
  let level = [...leaves];
  while (level.length > 1) {
    const above: Uint8Array[] = [];
    for (let at = 0; at < level.length; at += 2) {
      const [left, right] = [level[at], level[at + 1]];
      check(right === undefined || !equal(left, right), "BODY-1", "two neighbours of the merkle tree are equal");
      above.push(sha256(sha256(join(left, right ?? left))));
    }
    level = above;
  }
  return level[0];
}

/** The 32 bytes after `head` in the one script that begins with it. */
function commitment(rule: string, head: Uint8Array, scripts: readonly Uint8Array[]): Uint8Array | undefined {
  const found = scripts.filter((script) => script.length === 38 && equal(script.subarray(0, 6), head));
  check(found.length <= 1, rule, `${found.length} commitments of one kind`);
  return found[0]?.subarray(6);
}

/** BODY-1 to BODY-3: what a block of Mass Net commits to. */
export function readBody(bytes: Uint8Array): BodyCommitment {
  const reader = new Reader(bytes);
  const { size } = readSize(reader);
  check(size > 0, "BODY-1", "a body without transactions");
  const transactions: Transaction[] = [];
  for (let n = 0; n < size; n++) transactions.push(readTransaction(reader));
  check(reader.left === 0, "BODY-1", `${reader.left} bytes follow the transactions`);
  const { scripts } = transactions[0];
  const evidence = commitment("BODY-2", EVIDENCE_HEAD, scripts);
  const state = commitment("BODY-3", STATE_HEAD, scripts);
  return { root: merkleRoot(transactions.map(({ id }) => id)), evidence, state };
}
