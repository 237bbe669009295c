// vectors/keys: VRF-1 and SIG-1 at their edges; and our transcript against the package's own signatures.

import assert from "node:assert/strict";
import { test } from "node:test";

import { getPublicKey, secretFromSeed, sign } from "@scure/sr25519";

import { fromHex, idFromText, verifySealSignature, verifyVrf } from "../src/index.js";
import { verifySignature } from "../src/keys.js";
import { names, readVectors } from "./files.js";

interface Evaluated {
  readonly what: string;
  readonly farmer: string;
  readonly chain: string;
  readonly seed: string;
  readonly round: string;
  readonly output: string;
  readonly proof: string;
  readonly verifies: boolean;
}

interface Signed {
  readonly what: string;
  readonly farmer: string;
  readonly chain: string;
  readonly id: string;
  readonly signature: string;
  readonly verifies: boolean;
}

test("every file is read", () => assert.deepEqual(names("keys"), ["SIG-1", "VRF-1"]));

test("VRF-1", () => {
  for (const { what, round, verifies, ...hex } of readVectors<Evaluated[]>("keys", "VRF-1")) {
    const [farmer, chain, seed, output, proof] = [hex.farmer, hex.chain, hex.seed, hex.output, hex.proof].map(fromHex);
    assert.equal(verifyVrf(farmer, chain, seed, BigInt(round), output, proof), verifies, what);
  }
});

test("SIG-1", () => {
  for (const { what, id, verifies, ...hex } of readVectors<Signed[]>("keys", "SIG-1")) {
    const [farmer, chain, signature] = [hex.farmer, hex.chain, hex.signature].map(fromHex);
    assert.equal(verifySealSignature(farmer, chain, idFromText(id), signature), verifies, what);
  }
});

test("our transcript is that of the package", () => {
  const secret = secretFromSeed(new Uint8Array(32).fill(7));
  const message = new Uint8Array(500).fill(1);
  const signature = sign(secret, message);
  assert.ok(verifySignature("substrate", message, getPublicKey(secret), signature));
  assert.ok(!verifySignature("substrate", message.subarray(1), getPublicKey(secret), signature));
});
