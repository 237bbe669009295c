// vectors/proof: POS-1 to POS-15, and the quality of LOT-1. Also the AES round against FIPS 197, and the speed.

import assert from "node:assert/strict";
import { test } from "node:test";

import { aesRound } from "../src/aes.js";
import { fromHex, groupId, plotId, qualityOf, readProof, toHex, verifySpace, type Group } from "../src/index.js";
import { assertBreaks, names, readVectors } from "./files.js";

interface ProofVector {
  readonly k: number;
  readonly strength: number;
  readonly farmer: string;
  readonly nonce: string;
  readonly index: number;
  readonly challenge: string;
  readonly proof: string;
  readonly quality: string | null;
  readonly breaks: string | null;
}

function judge(vector: ProofVector): string {
  const { k, strength, index } = vector;
  const group: Group = { k, strength, farmer: fromHex(vector.farmer), nonce: fromHex(vector.nonce) };
  const xValues = readProof(k, fromHex(vector.proof));
  const links = verifySpace(group, index, fromHex(vector.challenge), xValues);
  return toHex(qualityOf(plotId(groupId(group), index), strength, links));
}

const vectors = readVectors<ProofVector[]>("proof", "POS-5");

test("every file is read", () => assert.deepEqual(names("proof"), ["POS-5"]));

test("an AES round is that of FIPS 197, appendix B, round 1", () => {
  // The state before round 1, the key of the round, the state before round 2.
  const words = (hex: string): Uint32Array => new Uint32Array(fromHex(hex).buffer);
  const before = words("193de3bea0f4e22b9ac68d2ae9f84808");
  aesRound(before, words("a0fafe1788542cb123a339392a6c7605"));
  assert.deepEqual(before, words("a49c7ff2689f352b6b5bea43026a5049"));
});

vectors.forEach((vector, number) => {
  const verdict = vector.breaks ?? "holds";
  test(`case ${number}, k ${vector.k}, strength ${vector.strength}: ${verdict}`, () => {
    if (vector.breaks === null) assert.equal(judge(vector), vector.quality);
    else assertBreaks(vector.breaks, () => judge(vector));
  });
});

test("a proof of k = 18 takes well under a second", (context) => {
  const start = performance.now();
  const runs = 10;
  for (let run = 0; run < runs; run++) judge(vectors[0]);
  const each = (performance.now() - start) / runs;
  context.diagnostic(`${each.toFixed(1)} ms`);
  assert.ok(each < 500);
});
