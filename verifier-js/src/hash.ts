// Tagged hashing: every hash of consensus says what it is for.
// Rules: `H(tag, ..)` of the section "Notation" of consensus.md.

import { sha256 } from "@noble/hashes/sha2.js";

import { ascii, join } from "./bytes.js";

/** `H(tag, parts..) = SHA256(T || T || parts)` with `T = SHA256("MASS/" tag "/v1")`. */
export function tagged(tag: string, ...parts: Uint8Array[]): Uint8Array {
  const prefix = sha256(ascii(`MASS/${tag}/v1`));
  return sha256(join(prefix, prefix, ...parts));
}
