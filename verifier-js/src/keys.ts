// Farmer keys: the VRF by @scure/sr25519, the signature on Ristretto and our transcript, since that package
// knows one signing context only.
// Rules: VRF-1, SIG-1.

import { ristretto255 } from "@noble/curves/ed25519.js";
import { vrf } from "@scure/sr25519";

import { ascii, fromLE, join, toLE } from "./bytes.js";
import { Transcript } from "./merlin.js";

const { Point } = ristretto255;
const VRF_CONTEXT = ascii("MASS/vrf/v1");
const SIGNATURE_CONTEXT = "MASS/seal-signature/v1";

/** Bytes that are no point, key or scalar are a refusal like any other. */
function orFalse(verify: () => boolean): boolean {
  try {
    return verify();
  } catch {
    return false;
  }
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
  const message = join(chain, seed, toLE(round, 8));
  return orFalse(() => vrf.verify(message, join(output, proof), farmer, VRF_CONTEXT));
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
    const transcript = new Transcript("SigningContext")
      .append("", ascii(context))
      .append("sign-bytes", message)
      .append("proto-name", ascii("Schnorr-sig"))
      .append("sign:pk", publicKey)
      .append("sign:R", signature.subarray(0, 32));
    const c = fromLE(transcript.challenge("sign:c", 64)) % Point.Fn.ORDER;
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
