// vectors/evidence: EVD-1 to EVD-4.

import assert from "node:assert/strict";
import { test } from "node:test";

import { checkEvidence, evidenceCommitment, fromHex, readEvidence, toHex, writeEvidence } from "../src/index.js";
import { assertBreaks, names, readBuiltIn, readVectors } from "./files.js";

interface Pieces {
  readonly pass: readonly string[];
  readonly fail: readonly string[];
}

interface Committed {
  readonly pieces: readonly string[];
  readonly commitment: string | null;
}

const read = (text: string) => readEvidence(fromHex(text));

test("every file is read", () => assert.deepEqual(names("evidence"), ["EVD-1", "EVD-2", "EVD-3", "EVD-4"]));

for (const rule of ["EVD-1", "EVD-2", "EVD-3"]) {
  test(rule, () => {
    const { pass, fail } = readVectors<Pieces>("evidence", rule);
    const dev = readBuiltIn("dev");
    for (const text of pass) {
      checkEvidence(dev, read(text));
      assert.equal(toHex(writeEvidence(read(text))), text);
    }
    for (const text of fail) assertBreaks(rule, () => checkEvidence(dev, read(text)));
  });
}

test("EVD-4", () => {
  for (const { pieces, commitment } of readVectors<Committed[]>("evidence", "EVD-4")) {
    const got = evidenceCommitment(pieces.map(read));
    assert.equal(got === undefined ? null : toHex(got), commitment);
  }
});
