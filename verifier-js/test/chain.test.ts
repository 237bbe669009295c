// vectors/chain: the numbers along a branch, the choice between branches, the seeds of another chain. SEED-1, SEED-2,
// DIF-1, FRK-1, LNK-1 to LNK-7.

import assert from "node:assert/strict";
import { test } from "node:test";

import { fromHex, HeaderTree, idFromText, idText, prove, readSealed, toHex } from "../src/index.js";
import { assertBreaks, names, readBuiltIn, readVectors } from "./files.js";

interface Linked {
  readonly header: string;
  readonly id: string;
  readonly height: number;
  readonly slot: string;
  readonly seed: string;
  readonly difficulty: string;
  readonly weight: string;
  readonly ticket: string;
  readonly best: string;
}

interface Chain {
  readonly chain: string;
  readonly genesis: string;
  readonly headers: readonly Linked[];
}

interface Inherited {
  readonly parent: Chain;
  readonly child: Chain;
  readonly fail: string;
}

function treeOf(chain: Chain, parent?: HeaderTree): HeaderTree {
  return new HeaderTree(readBuiltIn(chain.chain), idFromText(chain.genesis), parent);
}

function link(tree: HeaderTree, header: string): Linked {
  const node = tree.link(prove(tree.spec, readSealed(fromHex(header))));
  return {
    header,
    id: idText(node.id),
    height: node.height,
    slot: node.slot.toString(),
    seed: toHex(node.seed),
    difficulty: node.difficulty.toString(),
    weight: node.weight.toString(),
    ticket: toHex(node.ticket),
    best: idText(tree.best.id),
  };
}

function linkAll(tree: HeaderTree, headers: readonly Linked[]): void {
  for (const expected of headers) assert.deepEqual(link(tree, expected.header), expected);
}

test("every file is read", () => assert.deepEqual(names("chain"), ["FRK-1", "SEED-1", "SEED-2"]));

for (const name of ["SEED-1", "FRK-1"]) {
  test(name, () => {
    const chain = readVectors<Chain>("chain", name);
    linkAll(treeOf(chain), chain.headers);
  });
}

test("FRK-1: the order of arrival decides nothing", () => {
  const chain = readVectors<Chain>("chain", "FRK-1");
  const tree = treeOf(chain);
  const byHeight = [...chain.headers].reverse().sort((a, b) => a.height - b.height);
  for (const { header } of byHeight) link(tree, header);
  assert.equal(idText(tree.best.id), chain.headers.at(-1)?.best);
});

test("SEED-2", () => {
  const { parent, child, fail } = readVectors<Inherited>("chain", "SEED-2");
  const parentTree = treeOf(parent);
  linkAll(parentTree, parent.headers);
  const tree = treeOf(child, parentTree);
  linkAll(tree, child.headers.slice(0, -1));
  assertBreaks("LNK-4", () => link(tree, fail));
  linkAll(tree, child.headers.slice(-1));
});
