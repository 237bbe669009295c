// Evidence that a key sealed twice in one slot.
// Rules: EVD-1, EVD-2, EVD-3, EVD-4.

import { compare, equal, join, Reader, toLE } from "./bytes.js";
import { tagged } from "./hash.js";
import { blockId, readSealedFrom, writeSealed, type SealedHeader } from "./header.js";
import { prove } from "./proven.js";
import { check, within } from "./rule.js";
import type { ChainSpec } from "./spec.js";

export interface Evidence {
  readonly first: SealedHeader;
  readonly second: SealedHeader;
}

/** One piece of several that follow each other. */
export function readEvidenceFrom(reader: Reader): Evidence {
  return { first: readSealedFrom(reader), second: readSealedFrom(reader) };
}

export function readEvidence(bytes: Uint8Array): Evidence {
  const reader = new Reader(bytes);
  const evidence = readEvidenceFrom(reader);
  check(reader.left === 0, "SEAL-2", `${reader.left} bytes follow the evidence`);
  return evidence;
}

export function writeEvidence({ first, second }: Evidence): Uint8Array {
  return join(writeSealed(first), writeSealed(second));
}

/** EVD-1 to EVD-3, the cheap ones first; throws the first rule broken. */
export function checkEvidence(spec: ChainSpec, { first, second }: Evidence): void {
  const isOneFarmer = equal(first.claim.group.farmer, second.claim.group.farmer);
  check(isOneFarmer && first.claim.slot === second.claim.slot, "EVD-2", "sealed by two keys or in two slots");
  const ascend = compare(blockId(first.header), blockId(second.header)) < 0;
  check(ascend, "EVD-3", "the ids must differ and ascend");
  for (const sealed of [first, second]) within("EVD-1", () => prove(spec, sealed));
}

/** EVD-4: what a body commits to for its evidence; nothing if there is none. */
export function evidenceCommitment(pieces: readonly Evidence[]): Uint8Array | undefined {
  if (pieces.length === 0) return undefined;
  return tagged("evidence", toLE(pieces.length, 4), ...pieces.map(writeEvidence));
}
