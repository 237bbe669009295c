// What a sealed header shows by itself, with no chain at hand.
// Rules: PRV-1 to PRV-12, HDR-5.

import { equal, toHex } from "./bytes.js";
import { compactTarget, DIFFICULTY_MAX } from "./difficulty.js";
import { blockId, commitmentFields, type Claim, type SealedHeader } from "./header.js";
import { verifySealSignature, verifyVrf } from "./keys.js";
import { challengeOf, isAsked, lotteryWeight, qualityOf, ticketOf, wins } from "./lottery.js";
import { groupId, plotId } from "./plot.js";
import { check, within } from "./rule.js";
import { verifySpace } from "./space.js";
import { filterOf, roundOf, slotTime, type ChainSpec } from "./spec.js";

export interface ProvenHeader {
  readonly sealed: SealedHeader;
  readonly id: Uint8Array;
  readonly ticket: Uint8Array;
}

/** PRV-1 to PRV-12 in the order of the specification; throws the first rule broken. */
export function prove(spec: ChainSpec, sealed: SealedHeader): ProvenHeader {
  checkClaim(spec, sealed.claim);
  checkHeader(spec, sealed);
  const ticket = checkWin(spec, sealed);
  const id = blockId(sealed.header);
  const { chain, group } = sealed.claim;
  const isSigned = verifySealSignature(group.farmer, chain, id, sealed.signature);
  check(isSigned, "PRV-12", "the signature over the id does not verify");
  return { sealed, id, ticket };
}

/** PRV-1, PRV-2, PRV-3, PRV-7. */
function checkClaim(spec: ChainSpec, claim: Claim): void {
  const { rules } = spec;
  check(equal(claim.chain, spec.id), "PRV-1", `sealed for chain ${toHex(claim.chain)}`);
  const { k, strength } = claim.group;
  const counts = k === rules.plot_size && strength >= rules.strength_min && strength <= rules.strength_max;
  check(counts, "PRV-2", `plots of k ${k} and strength ${strength} do not count here`);
  check(claim.index < rules.group_plots_max, "PRV-3", `there is no plot index ${claim.index}`);
  const isBounded = claim.difficulty >= BigInt(rules.difficulty_min) && claim.difficulty <= DIFFICULTY_MAX;
  check(isBounded, "PRV-7", `difficulty ${claim.difficulty} is out of bounds`);
}

/** PRV-4, PRV-5, PRV-6. */
function checkHeader(spec: ChainSpec, { header, claim }: SealedHeader): void {
  const { version, nonce } = commitmentFields(claim);
  const carries = header.version === version && header.nonce === nonce;
  check(carries, "PRV-4", "version and nonce do not carry the commitment of the seal");
  check(header.time === slotTime(spec.rules, claim.slot), "PRV-5", `slot ${claim.slot} starts at another time`);
  check(header.bits === compactTarget(claim.difficulty), "PRV-6", "the bits are not those of the difficulty");
}

/** PRV-8, PRV-9, PRV-10, PRV-11: the winning ticket. */
function checkWin(spec: ChainSpec, { claim, vrfProof }: SealedHeader): Uint8Array {
  const { group, seed, slot, vrfOutput } = claim;
  const round = roundOf(spec.rules, slot);
  const asked = isAsked(spec.beaconId, seed, groupId(group), filterOf(spec.rules, group.strength), round);
  check(asked, "PRV-8", `the group is not asked in round ${round}`);
  const isProven = verifyVrf(group.farmer, claim.chain, seed, round, vrfOutput, vrfProof);
  check(isProven, "PRV-9", "the VRF output is not proven");
  const challenge = challengeOf(spec.beaconId, seed, round);
  const links = within("PRV-10", () => verifySpace(group, claim.index, challenge, claim.xValues));
  const quality = qualityOf(plotId(groupId(group), claim.index), group.strength, links);
  const ticket = ticketOf(spec, seed, slot, quality, vrfOutput);
  const weight = lotteryWeight(spec.rules, group.k, group.strength);
  check(wins(ticket, weight, claim.difficulty), "PRV-11", "the ticket does not win");
  return ticket;
}
