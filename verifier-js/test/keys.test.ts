// vectors/keys: VRF-1 and SIG-1 at their edges; and our transcript against the package's own signatures.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ristretto255 } from "@noble/curves/ed25519.js";
import { getPublicKey, secretFromSeed, sign, vrf } from "@scure/sr25519";

import { ascii, fromLE } from "../src/bytes.js";
import { fromHex, idFromText, verifySealSignature, verifyVrf } from "../src/index.js";
import { verifySignature, vrfChallenge, vrfInput } from "../src/keys.js";
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

test("our VRF is that of the package, whose proofs are short", () => {
  const { Point } = ristretto255;
  const secret = secretFromSeed(new Uint8Array(32).fill(7));
  const publicKey = getPublicKey(secret);
  const message = new Uint8Array(72).fill(1);
  const made = vrf.sign(message, secret, ascii("context"), new Uint8Array());
  const output = made.subarray(0, 32);
  const [c, s] = [fromLE(made.subarray(32, 64)), fromLE(made.subarray(64))];
  const input = vrfInput("context", message, publicKey);
  const R = Point.BASE.multiply(s).add(Point.fromBytes(publicKey).multiply(c));
  const H = Point.fromBytes(input).multiply(s).add(Point.fromBytes(output).multiply(c));
  assert.equal(vrfChallenge(input, publicKey, output, R.toBytes(), H.toBytes()), c);
});
