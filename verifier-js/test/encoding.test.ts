// vectors/encoding: HDR-1, HDR-4, SEAL-1 and SEAL-2, of sealed headers and of bytes that are none.

import assert from "node:assert/strict";
import { test } from "node:test";

import { blockId, commitmentOf, fromHex, idText, readSealed, RuleError, toHex, writeSealed } from "../src/index.js";
import { names, readVectors } from "./files.js";

interface Encodings {
  readonly pass: readonly { readonly bytes: string; readonly id: string; readonly commitment: string }[];
  readonly fail: readonly string[];
}

test("every file is read", () => assert.deepEqual(names("encoding"), ["SEAL-1"]));

test("SEAL-1", () => {
  const { pass, fail } = readVectors<Encodings>("encoding", "SEAL-1");
  for (const { bytes, id, commitment } of pass) {
    const sealed = readSealed(fromHex(bytes));
    assert.equal(toHex(writeSealed(sealed)), bytes);
    assert.equal(idText(blockId(sealed.header)), id);
    assert.equal(toHex(commitmentOf(sealed.claim)), commitment);
  }
  for (const bytes of fail) {
    const isSeal = (error: unknown): boolean => error instanceof RuleError && error.rule.startsWith("SEAL-");
    assert.throws(() => readSealed(fromHex(bytes)), isSeal);
  }
});
