// Blocks as peers and files carry them, and what of a block can be checked without running its ledger.
// Rules: the section "Blocks" of consensus.md, BLK-1 to BLK-7.

import { compare, equal, Reader, toHex } from "./bytes.js";
import { checkEvidence, evidenceCommitment, readEvidenceFrom, type Evidence } from "./evidence.js";
import { readSealedFrom, type SealedHeader } from "./header.js";
import { prove, type ProvenHeader } from "./proven.js";
import { check } from "./rule.js";
import type { ChainSpec } from "./spec.js";

const BODY_BYTES_MAX = 4 * 2 ** 20;
const EVIDENCE_MAX = 64;

export interface Block {
  readonly sealed: SealedHeader;
  readonly evidence: readonly Evidence[];
  readonly body: Uint8Array;
}

/** What a ledger finds in a body: its root, and the commitments to the evidence and to the state, if there are any. */
export interface BodyCommitment {
  readonly root: Uint8Array;
  readonly evidence: Uint8Array | undefined;
  readonly state?: Uint8Array | undefined;
}

/** A block, and nothing after it. */
export function readBlock(bytes: Uint8Array): Block {
  const reader = new Reader(bytes);
  const sealed = readSealedFrom(reader);
  const pieces = reader.number(4);
  check(pieces <= EVIDENCE_MAX, "SEAL-2", `${pieces} pieces of evidence`);
  const evidence = Array.from({ length: pieces }, () => readEvidenceFrom(reader));
  const length = reader.number(4);
  check(length <= BODY_BYTES_MAX, "SEAL-2", `a body of ${length} bytes`);
  const body = reader.take(length);
  check(reader.left === 0, "SEAL-2", `${reader.left} bytes follow the block`);
  return { sealed, evidence, body };
}

/** PRV-1 to PRV-12, BLK-1 to BLK-3 and EVD-1 to EVD-4; throws a rule that is broken. */
export function proveBlock(spec: ChainSpec, block: Block, found: BodyCommitment): ProvenHeader {
  const { sealed, evidence } = block;
  const most = spec.rules.evidence_per_block_max;
  check(evidence.length <= most, "BLK-3", `${evidence.length} pieces of evidence, ${most} at the most`);
  check(equal(found.root, sealed.header.root), "BLK-1", "the body has another root than the header");
  const commitment = evidenceCommitment(evidence);
  const commits =
    commitment === undefined || found.evidence === undefined
      ? commitment === found.evidence
      : equal(commitment, found.evidence);
  check(commits, "BLK-2", "the body does not commit to the evidence of the block");
  const proven = prove(spec, sealed);
  for (const piece of evidence) checkEvidence(spec, piece);
  return proven;
}

/** BLK-4 to BLK-6: throws the first rule broken. `isBanned` tells of the chain of the parent. */
export function checkBans(spec: ChainSpec, block: Block, isBanned: (farmer: Uint8Array) => boolean): void {
  const { claim } = block.sealed;
  let last: Uint8Array | undefined;
  for (const { first, second } of block.evidence) {
    const height = Math.max(first.claim.height, second.claim.height);
    const isFresh = claim.height - height <= spec.rules.evidence_window_blocks;
    const { farmer } = first.claim.group;
    check(isFresh, "BLK-4", `evidence against ${toHex(farmer)} is too old`);
    const ascends = last === undefined || compare(last, farmer) < 0;
    check(ascends && !isBanned(farmer), "BLK-5", "evidence must ascend by key and tell of none that is banned");
    last = farmer;
  }
  const { farmer } = claim.group;
  const own = block.evidence.some(({ first }) => equal(first.claim.group.farmer, farmer));
  check(!own && !isBanned(farmer), "BLK-6", `farmer ${toHex(farmer)} is banned`);
}

/** BLK-7. Without `before`, the hash of the state after the parent, which only a ledger tells, it is left at whether the
 * body commits to a state where it must. */
export function checkState(spec: ChainSpec, block: Block, found: BodyCommitment, before?: Uint8Array): void {
  const { height } = block.sealed.claim;
  const isFirst = height > 0 && height % spec.rules.period_blocks === 0;
  check((found.state !== undefined) === isFirst, "BLK-7", "the first block of a period, and no other, commits to the state");
  const fits = found.state === undefined || before === undefined || equal(found.state, before);
  check(fits, "BLK-7", "the body commits to another state");
}
