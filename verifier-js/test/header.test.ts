// vectors/header: one file for each rule PRV-1 to PRV-12 and LNK-1 to LNK-6.

import assert from "node:assert/strict";
import { test } from "node:test";

import { fromHex, HeaderTree, idFromText, prove, readSealed, RuleError, toHex, writeSealed } from "../src/index.js";
import type { Checkpoint } from "../src/spec.js";
import { readBuiltIn, readVectors } from "./files.js";

interface HeaderVector {
  readonly rule: string;
  readonly genesis: string;
  readonly checkpoints: readonly Checkpoint[];
  readonly before: readonly string[];
  readonly pass: string;
  readonly fail: string;
}

const RULES = 18;

function judge(vector: HeaderVector, candidate: string): void {
  const spec = { ...readBuiltIn("dev"), checkpoints: vector.checkpoints };
  const tree = new HeaderTree(spec, idFromText(vector.genesis));
  for (const text of [...vector.before, candidate]) tree.link(prove(spec, readSealed(fromHex(text))));
}

const vectors = readVectors<HeaderVector>("header");

test("every rule has a file", () => {
  assert.equal(vectors.length, RULES);
  for (const { name, vector } of vectors) assert.equal(name, `${vector.rule}.json`);
});

for (const { vector } of vectors) {
  test(`${vector.rule} holds`, () => judge(vector, vector.pass));
  test(`${vector.rule} is broken`, () => {
    assert.throws(
      () => judge(vector, vector.fail),
      (error) => error instanceof RuleError && error.rule === vector.rule,
    );
  });
  test(`${vector.rule}: the encoding is exact`, () => {
    for (const text of [vector.pass, vector.fail]) assert.equal(toHex(writeSealed(readSealed(fromHex(text)))), text);
  });
}
