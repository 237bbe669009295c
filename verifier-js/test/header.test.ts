// vectors/header: one file for each rule PRV-1 to PRV-12 and LNK-1 to LNK-7.

import assert from "node:assert/strict";
import { test } from "node:test";

import { fromHex, HeaderTree, idFromText, prove, readSealed, toHex, writeSealed } from "../src/index.js";
import type { Checkpoint } from "../src/spec.js";
import { assertBreaks, names, readBuiltIn, readVectors } from "./files.js";

interface HeaderVector {
  readonly rule: string;
  readonly genesis: string;
  readonly checkpoints: readonly Checkpoint[];
  readonly before: readonly string[];
  readonly pass: string;
  readonly fail: string;
}

function judge(vector: HeaderVector, candidate: string): void {
  const spec = { ...readBuiltIn("dev"), checkpoints: vector.checkpoints };
  const tree = new HeaderTree(spec, idFromText(vector.genesis));
  for (const text of vector.before) tree.link(prove(spec, readSealed(fromHex(text))));
  const proven = prove(spec, readSealed(fromHex(candidate)));
  tree.link(proven);
}

test("every rule has a file", () => {
  const numbered = (name: string, count: number): string[] =>
    Array.from({ length: count }, (_, i) => `${name}-${i + 1}`);
  assert.deepEqual(names("header"), [...numbered("PRV", 12), ...numbered("LNK", 7)].sort());
});

for (const rule of names("header")) {
  test(rule, () => {
    const vector = readVectors<HeaderVector>("header", rule);
    assert.equal(vector.rule, rule);
    judge(vector, vector.pass);
    assertBreaks(rule, () => judge(vector, vector.fail));
    for (const text of [vector.pass, vector.fail]) {
      assert.equal(toHex(writeSealed(readSealed(fromHex(text)))), text, "the encoding is exact");
    }
  });
}
