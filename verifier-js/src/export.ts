// Files of blocks that `mass node export` writes, and a whole chain of them checked.
// Rules: none of its own; the bytes are those of export-format.md.

import { checkBans, checkState, proveBlock, readBlock } from "./block.js";
import { readBody } from "./body.js";
import { ascii, equal, Reader, toHex } from "./bytes.js";
import { check } from "./rule.js";
import type { ChainSpec } from "./spec.js";
import { HeaderTree } from "./tree.js";

const VERSION = 1;
const BLOCK_BYTES_MAX = 5 * 2 ** 20;

export interface BlockFile {
  readonly chain: Uint8Array;
  readonly first: number;
  readonly blocks: readonly Uint8Array[];
}

function hold(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new RangeError(otherwise);
}

export function readBlockFile(bytes: Uint8Array): BlockFile {
  hold(equal(bytes.subarray(0, 8), ascii("MASSBLKS")), "this is no file of blocks");
  const reader = new Reader(bytes.subarray(8));
  const version = reader.number(4);
  hold(version === VERSION, `the file is of version ${version}`);
  const [chain, first, count] = [reader.take(32), reader.number(4), reader.number(4)];
  hold(first >= 1 && first + count < 2 ** 32, `there are no ${count} blocks from height ${first} on`);
  const blocks: Uint8Array[] = [];
  for (let n = 0; n < count; n++) {
    const length = reader.number(4);
    hold(length <= BLOCK_BYTES_MAX, `block ${first + n} is said to have ${length} bytes`);
    blocks.push(reader.take(length));
  }
  hold(reader.left === 0, "something follows the last block of the file");
  return { chain, first, blocks };
}

export interface CheckedChain {
  readonly blocks: number;
  readonly evidence: number;
  readonly tree: HeaderTree;
}

/** Checks a file from height 1 on: all rules but the ledger's. Throws the first rule broken. */
export function checkChain(spec: ChainSpec, file: BlockFile): CheckedChain {
  hold(equal(file.chain, spec.id), `the blocks are of chain ${toHex(file.chain)}`);
  hold(file.first === 1 && file.blocks.length > 0, "a chain is checked from height 1 on");
  // The id of the genesis block is the ledger's to make: it is taken from the first block, and must be that of all.
  const tree = new HeaderTree(spec, readBlock(file.blocks[0]).sealed.header.parent);
  const banned = new Set<string>();
  let evidence = 0;
  for (const bytes of file.blocks) {
    const block = readBlock(bytes);
    const found = readBody(block.body);
    const proven = proveBlock(spec, block, found);
    const node = tree.link(proven);
    checkBans(spec, block, (farmer) => banned.has(toHex(farmer)));
    checkState(spec, block, found);
    for (const { first } of block.evidence) banned.add(toHex(first.claim.group.farmer));
    evidence += block.evidence.length;
    check(tree.best === node, "FRK-1", `block ${node.height} is not the best one`);
  }
  return { blocks: file.blocks.length, evidence, tree };
}
