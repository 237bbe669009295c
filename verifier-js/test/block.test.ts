// vectors/block: one file for each rule BLK-1 to BLK-7; and bodies, whose tree is Bitcoin's.

import assert from "node:assert/strict";
import { test } from "node:test";

import { checkBans, checkState, fromHex, idFromText, merkleRoot, proveBlock, readBlock, readBody, toHex } from "../src/index.js";
import { assertBreaks, names, readBuiltIn, readVectors } from "./files.js";

interface Candidate {
  readonly block: string;
  readonly root: string;
  readonly evidence: string | null;
  readonly banned: readonly string[];
  readonly state?: string;
  readonly state_before?: string;
}

interface BlockVector {
  readonly rule: string;
  readonly pass: Candidate;
  readonly fail: Candidate;
}

function judge(candidate: Candidate): void {
  const spec = readBuiltIn("dev");
  const block = readBlock(fromHex(candidate.block));
  const evidence = candidate.evidence === null ? undefined : fromHex(candidate.evidence);
  const state = candidate.state === undefined ? undefined : fromHex(candidate.state);
  const found = { root: fromHex(candidate.root), evidence, state };
  proveBlock(spec, block, found);
  checkBans(spec, block, (farmer) => candidate.banned.includes(toHex(farmer)));
  checkState(spec, block, found, candidate.state_before === undefined ? undefined : fromHex(candidate.state_before));
}

test("every rule has a file", () => {
  assert.deepEqual(names("block"), [1, 2, 3, 4, 5, 6, 7].map((number) => `BLK-${number}`));
});

for (const rule of names("block")) {
  test(rule, () => {
    const vector = readVectors<BlockVector>("block", rule);
    assert.equal(vector.rule, rule);
    judge(vector.pass);
    assertBreaks(rule, () => judge(vector.fail));
  });
}

test("every folder of vectors is read", () => {
  const folders = ["block", "chain", "encoding", "evidence", "header", "keys", "numbers", "proof"];
  assert.deepEqual(names("").filter((name) => name !== "README.md"), folders);
});

test("a block cut short or with more behind it is none", () => {
  const bytes = fromHex(readVectors<BlockVector>("block", "BLK-2").pass.block);
  readBlock(bytes);
  assertBreaks("SEAL-2", () => readBlock(bytes.subarray(0, -1)));
  assertBreaks("SEAL-2", () => readBlock(Uint8Array.of(...bytes, 0)));
});

test("BODY-1: the first block of Bitcoin, and the tree of its block 100,000", () => {
  const coinbase =
    "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff4d04ffff001d0104455468652054696d65732030332f4a616e2f32303039204368616e63656c6c6f72206f6e206272696e6b206f66207365636f6e64206261696c6f757420666f722062616e6b73ffffffff0100f2052a01000000434104678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5fac00000000";
  const root = "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b";
  assert.deepEqual(readBody(fromHex(`01${coinbase}`)).root, idFromText(root));
  const ids = [
    "8c14f0db3df150123e6f3dbbf30f8b955a8249b62ac1d1ff16284aefa3d06d87",
    "fff2525b8931402dd09222c50775608f75787bd2b87e56995a7bdd30f79702c4",
    "6359f0868171b1d194cbee1af2f16ea598ae8fad666d9b012c8ed2b79a236ec4",
    "e9a66845e05d5abc0ad04ec80f774a7e585c6e8db975962d069a522137b80c1d",
  ].map(idFromText);
  const expected = "f3e94742aca4b5ef85488dc37c06c3282295ffec960994b2c0d5ac2a25a95766";
  assert.deepEqual(merkleRoot(ids), idFromText(expected));
  assertBreaks("BODY-1", () => merkleRoot([ids[0], ids[0]]));
});
