// Checks a block in the browser, with the verifier that shares no code with the node. Loaded when somebody asks.

import {
  blockId,
  challengeOf,
  checkEvidence,
  commitmentOf,
  evidenceCommitment,
  fromHex,
  groupId,
  idText,
  lotteryWeight,
  nextDifficulty,
  nextSeed,
  plotId,
  prove,
  proveBlock,
  qualityOf,
  readBlock,
  readBody,
  readSpec,
  RuleError,
  toHex,
  verifySealSignature,
  verifySpace,
  verifyVrf,
  wins,
  type Block,
  type ChainSpec,
  type SealedHeader,
} from "mass-verifier";

export interface Check {
  /** The word of the page that says what was checked. */
  readonly name: "chain" | "id" | "commitment" | "space" | "vrf" | "ticket" | "signature" | "link" | "body" | "evidence";
  readonly rules: string;
  /** What was found, or which rule is broken. */
  readonly found: string;
  readonly holds: boolean;
}

export interface SealFacts {
  readonly slot: bigint;
  readonly round: bigint;
  readonly k: number;
  readonly strength: number;
  readonly group: string;
  readonly plot: string;
  readonly index: number;
  readonly farmer: string;
  readonly seed: string;
  readonly challenge: string;
  readonly vrfOutput: string;
  readonly quality: string;
  readonly ticket: string;
  readonly chance: number;
  readonly xValues: readonly number[];
  readonly evidence: readonly { readonly farmer: string; readonly slot: bigint; readonly ids: readonly [string, string] }[];
  readonly milliseconds: number;
}

export interface Verdict {
  readonly checks: readonly Check[];
  readonly facts: SealFacts | undefined;
  readonly holds: boolean;
}

/** Runs one check; a broken rule is its finding. */
function check(name: Check["name"], rules: string, work: () => string): Check {
  try {
    return { name, rules, found: work(), holds: true };
  } catch (error) {
    return { name, rules: error instanceof RuleError ? error.rule : rules, found: (error as Error).message, holds: false };
  }
}

function demand(holds: boolean, rule: string, otherwise: string): void {
  if (!holds) throw new RuleError(rule, otherwise);
}

function facts(spec: ChainSpec, block: Block, started: number): SealFacts {
  const { claim } = block.sealed;
  const round = claim.slot / BigInt(spec.rules.round_slots);
  const group = groupId(claim.group);
  const plot = plotId(group, claim.index);
  const challenge = challengeOf(spec.beaconId, claim.seed, round);
  const quality = qualityOf(plot, claim.group.strength, verifySpace(claim.group, claim.index, challenge, claim.xValues));
  const { ticket } = prove(spec, block.sealed);
  return {
    slot: claim.slot,
    round,
    k: claim.group.k,
    strength: claim.group.strength,
    group: toHex(group),
    plot: toHex(plot),
    index: claim.index,
    farmer: toHex(claim.group.farmer),
    seed: toHex(claim.seed),
    challenge: toHex(challenge),
    vrfOutput: toHex(claim.vrfOutput),
    quality: toHex(quality),
    ticket: toHex(ticket),
    chance: Number((lotteryWeight(spec.rules, claim.group.k, claim.group.strength) * 10n ** 12n) / claim.difficulty) / 1e12,
    xValues: claim.xValues,
    evidence: block.evidence.map(({ first, second }) => ({
      farmer: toHex(first.claim.group.farmer),
      slot: first.claim.slot,
      ids: [idText(blockId(first.header)), idText(blockId(second.header))],
    })),
    milliseconds: performance.now() - started,
  };
}

/** The blocks before one that say what it must carry: its parent, the one before, and the one that made its seed. */
export interface Before {
  readonly parent: string | undefined;
  readonly grandparent: string | undefined;
  readonly seedSource: string | undefined;
}

/** Heights of the blocks that `Before` has, as far as a block has them: the genesis block has no seal. */
export function heightsBefore(specText: string, height: number): Record<keyof Before, number | undefined> {
  const { rules } = readSpec(specText);
  const startsPeriod = height % rules.period_blocks === 0;
  const sealed = (wanted: number): number | undefined => (wanted > 0 ? wanted : undefined);
  return {
    parent: sealed(height - 1),
    grandparent: sealed(height - 2),
    seedSource: startsPeriod && rules.beacon === undefined ? sealed(height - rules.seed_lag_blocks) : undefined,
  };
}

/** LNK-1 to LNK-5, as far as blocks with a seal say it. */
function checkLink(spec: ChainSpec, { claim, header }: SealedHeader, before: Before): string {
  const { rules } = spec;
  if (before.parent === undefined) {
    demand(claim.height === 1, "LNK-2", `height ${claim.height} without a parent`);
    demand(claim.difficulty === BigInt(rules.difficulty_initial), "LNK-5", "the difficulty is not the initial one");
    return "1";
  }
  const parent = readBlock(fromHex(before.parent)).sealed;
  const parentId = idText(blockId(parent.header));
  demand(parentId === idText(header.parent), "LNK-1", `the block before is ${parentId}`);
  demand(claim.height === parent.claim.height + 1, "LNK-2", `height ${claim.height} on ${parent.claim.height}`);
  demand(claim.slot > parent.claim.slot, "LNK-3", `slot ${claim.slot} is not after ${parent.claim.slot}`);
  // A chain that inherits its beacon has its parent chain's seeds, which are not at hand.
  if (rules.beacon === undefined) {
    const source = before.seedSource === undefined ? undefined : readBlock(fromHex(before.seedSource)).sealed;
    const seed = source === undefined ? parent.claim.seed : nextSeed(parent.claim.seed, source.claim.vrfOutput);
    demand(toHex(claim.seed) === toHex(seed), "LNK-4", "the seed is not that of the chain");
  }
  let difficulty = BigInt(rules.difficulty_initial);
  if (before.grandparent !== undefined) {
    const gap = parent.claim.slot - readBlock(fromHex(before.grandparent)).sealed.claim.slot;
    const step = { interval: BigInt(rules.interval_slots), tau: BigInt(rules.difficulty_tau_slots), min: BigInt(rules.difficulty_min) };
    difficulty = nextDifficulty(parent.claim.difficulty, gap, step);
  }
  demand(claim.difficulty === difficulty, "LNK-5", `difficulty is ${claim.difficulty}, not ${difficulty}`);
  return parentId;
}

/** Checks the bytes of a block: that they are the block that was asked for, and all that it and those before it show. */
export function verify(specText: string, blockHex: string, before: Before, id: string, hasLedger: boolean): Verdict {
  const started = performance.now();
  const spec = readSpec(specText);
  let block: Block;
  try {
    block = readBlock(fromHex(blockHex));
  } catch (error) {
    return { checks: [check("id", "SEAL-2", () => { throw error; })], facts: undefined, holds: false };
  }
  const { claim, header, vrfProof, signature } = block.sealed;
  const { group } = claim;
  const round = claim.slot / BigInt(spec.rules.round_slots);
  const checks = [
    check("chain", "PRV-1", () => {
      demand(toHex(claim.chain) === toHex(spec.id), "PRV-1", `the seal names chain ${toHex(claim.chain)}`);
      return toHex(spec.id);
    }),
    check("id", "HDR-1", () => {
      const found = idText(blockId(header));
      demand(found === id, "HDR-1", `the header hashes to ${found}`);
      return found;
    }),
    check("commitment", "HDR-3, PRV-4", () => toHex(commitmentOf(claim).subarray(0, 8))),
    check("space", "POS, PRV-10", () => {
      const links = verifySpace(group, claim.index, challengeOf(spec.beaconId, claim.seed, round), claim.xValues);
      return `${claim.xValues.length} x-values, ${links.length} links`;
    }),
    check("vrf", "PRV-9", () => {
      const proven = verifyVrf(group.farmer, claim.chain, claim.seed, round, claim.vrfOutput, vrfProof);
      demand(proven, "PRV-9", "the VRF output is not proven");
      return toHex(claim.vrfOutput);
    }),
    check("ticket", "PRV-1 … PRV-11", () => {
      const { ticket } = prove(spec, block.sealed);
      demand(wins(ticket, lotteryWeight(spec.rules, group.k, group.strength), claim.difficulty), "PRV-11", "the ticket does not win");
      return toHex(ticket);
    }),
    check("signature", "PRV-12", () => {
      const signed = verifySealSignature(group.farmer, claim.chain, blockId(header), signature);
      demand(signed, "PRV-12", "the signature does not verify");
      return toHex(signature.subarray(0, 16));
    }),
    check("link", "LNK-1 … LNK-5", () => checkLink(spec, block.sealed, before)),
  ];
  if (hasLedger) {
    checks.push(
      check("body", "BODY-1, BLK-1, BLK-2", () => {
        const body = readBody(block.body);
        proveBlock(spec, block, body);
        return toHex(body.root);
      }),
    );
  }
  if (block.evidence.length > 0) {
    checks.push(
      check("evidence", "EVD-1 … EVD-4", () => {
        for (const piece of block.evidence) checkEvidence(spec, piece);
        return toHex(evidenceCommitment(block.evidence) ?? new Uint8Array());
      }),
    );
  }
  const holds = checks.every((one) => one.holds);
  return { checks, facts: holds ? facts(spec, block, started) : undefined, holds };
}
