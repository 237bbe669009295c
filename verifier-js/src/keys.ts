// Farmer keys: VRF and signature on Ristretto and our transcript, since the package @scure/sr25519 knows one signing
// context only, and no proof that can be checked in batches. The tests hold both against it.
// Rules: VRF-1, SIG-1.

import { ristretto255, ristretto255_hasher } from "@noble/curves/ed25519.js";

import { ascii, fromLE, join, toLE } from "./bytes.js";
import { Transcript } from "./merlin.js";

const { Point } = ristretto255;
const VRF_CONTEXT = "MASS/vrf/v1";
const SIGNATURE_CONTEXT = "MASS/seal-signature/v1";

/** Bytes that are no point, key or scalar are a refusal like any other. */
function orFalse(verify: () => boolean): boolean {
  try {
    return verify();
  } catch {
    return false;
  }
}

/** A signing context over a message. */
function inContext(context: string, message: Uint8Array): Transcript {
  return new Transcript("SigningContext").append("", ascii(context)).append("sign-bytes", message);
}

/** A challenge scalar. */
function scalar(transcript: Transcript, label: string): bigint {
  return fromLE(transcript.challenge(label, 64)) % Point.Fn.ORDER;
}

/** The point to which schnorrkel's VRF hashes a message for a key. */
export function vrfInput(context: string, message: Uint8Array, publicKey: Uint8Array): Uint8Array {
  const transcript = inContext(context, message).append("vrf-nm-pk", publicKey);
  return ristretto255_hasher.deriveToCurve!(transcript.challenge("VRFHash", 64)).toBytes();
}

/** The challenge of a VRF proof. */
export function vrfChallenge(
  input: Uint8Array,
  publicKey: Uint8Array,
  output: Uint8Array,
  R: Uint8Array,
  H: Uint8Array,
): bigint {
  const transcript = new Transcript("VRF")
    .append("proto-name", ascii("DLEQProof"))
    .append("vrf:h", input)
    .append("vrf:R=g^r", R)
    .append("vrf:h^r", H)
    .append("vrf:pk", publicKey)
    .append("vrf:h^sk", output);
  return scalar(transcript, "prove");
}

/** VRF-1. */
export function verifyVrf(
  farmer: Uint8Array,
  chain: Uint8Array,
  seed: Uint8Array,
  round: bigint,
  output: Uint8Array,
  proof: Uint8Array,
): boolean {
  return orFalse(() => {
    if (proof.length !== 96) return false;
    const [R, H] = [proof.subarray(0, 32), proof.subarray(32, 64)];
    const s = fromLE(proof.subarray(64));
    const [P, y] = [Point.fromBytes(farmer), Point.fromBytes(output)];
    if (y.equals(Point.ZERO)) return false;
    const input = vrfInput(VRF_CONTEXT, join(chain, seed, toLE(round, 8)), farmer);
    const c = vrfChallenge(input, farmer, output, R, H);
    const h = Point.fromBytes(input);
    const isOfKey = Point.BASE.multiply(s).add(P.multiply(c)).equals(Point.fromBytes(R));
    return isOfKey && h.multiply(s).add(y.multiply(c)).equals(Point.fromBytes(H));
  });
}

/** A schnorrkel signature over a message in a signing context. */
export function verifySignature(
  context: string,
  message: Uint8Array,
  publicKey: Uint8Array,
  signature: Uint8Array,
): boolean {
  return orFalse(() => {
    // The top bit marks signatures of schnorrkel.
    if (signature.length !== 64 || (signature[63] & 0x80) === 0) return false;
    const s = fromLE(signature.subarray(32)) - 2n ** 255n;
    const transcript = inContext(context, message)
      .append("proto-name", ascii("Schnorr-sig"))
      .append("sign:pk", publicKey)
      .append("sign:R", signature.subarray(0, 32));
    const c = scalar(transcript, "sign:c");
    const R = Point.BASE.multiply(s).subtract(Point.fromBytes(publicKey).multiply(c));
    return R.equals(Point.fromBytes(signature.subarray(0, 32)));
  });
}

/** SIG-1. */
export function verifySealSignature(
  farmer: Uint8Array,
  chain: Uint8Array,
  id: Uint8Array,
  signature: Uint8Array,
): boolean {
  return verifySignature(SIGNATURE_CONTEXT, join(chain, id), farmer, signature);
}
