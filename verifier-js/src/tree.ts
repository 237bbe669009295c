// The tree of headers: what a proven header shows in its place, and which chain is best.
// Rules: LNK-1 to LNK-7, FRK-1, FRK-2; SEED-1, SEED-2 and DIF-1 along a branch; the genesis block.

import { compare, equal, fromHex, idText } from "./bytes.js";
import { nextDifficulty } from "./difficulty.js";
import type { ProvenHeader } from "./proven.js";
import { check } from "./rule.js";
import { nextSeed, seedHeight } from "./seeds.js";
import { periodOf, roundOf, type ChainSpec } from "./spec.js";

/** A header in its place. The genesis block has no parent. */
export interface Node {
  readonly id: Uint8Array;
  readonly parent: Node | undefined;
  readonly height: number;
  readonly slot: bigint;
  readonly seed: Uint8Array;
  readonly difficulty: bigint;
  readonly vrfOutput: Uint8Array;
  readonly ticket: Uint8Array;
  readonly weight: bigint;
}

function genesisNode(spec: ChainSpec, id: Uint8Array): Node {
  return {
    id,
    parent: undefined,
    height: 0,
    slot: 0n,
    seed: fromHex(spec.rules.seed_initial),
    difficulty: BigInt(spec.rules.difficulty_initial),
    vrfOutput: new Uint8Array(32),
    ticket: new Uint8Array(32),
    weight: 0n,
  };
}

function* ancestry(node: Node): Generator<Node> {
  for (let at: Node | undefined = node; at !== undefined; at = at.parent) yield at;
}

function ancestorAt(node: Node, height: number): Node | undefined {
  let at: Node | undefined = node;
  while (at !== undefined && at.height > height) at = at.parent;
  return at;
}

/** SEED-1: the seed of a child of `parent`. */
function seedOfPeriod(spec: ChainSpec, parent: Node): Uint8Array {
  const period = periodOf(spec.rules, parent.height + 1);
  if (period === periodOf(spec.rules, parent.height)) return parent.seed;
  const source = seedHeight(spec.rules, period);
  for (const node of ancestry(parent)) {
    if (node.height === source) return nextSeed(parent.seed, node.vrfOutput);
  }
  throw new RangeError(`no block at height ${source}`);
}

/** SEED-2: the seed of a round by the best chain of the parent. The genesis block is older than every round. */
function seedOfRound(parentChain: HeaderTree, round: bigint): Uint8Array {
  for (const node of ancestry(parentChain.best)) {
    if (roundOf(parentChain.spec.rules, node.slot) < round) return node.seed;
  }
  return fromHex(parentChain.spec.rules.seed_initial);
}

/** DIF-1: the difficulty of a child of `parent`. */
function difficultyAfter({ rules }: ChainSpec, parent: Node): bigint {
  if (parent.parent === undefined || parent.height < 2) return BigInt(rules.difficulty_initial);
  return nextDifficulty(parent.difficulty, parent.slot - parent.parent.slot, {
    interval: BigInt(rules.interval_slots),
    tau: BigInt(rules.difficulty_tau_slots),
    min: BigInt(rules.difficulty_min),
  });
}

/** FRK-1: negative if `a` is better than `b`. */
function byRank(a: Node, b: Node): number {
  if (a.weight !== b.weight) return a.weight > b.weight ? -1 : 1;
  return compare(a.ticket, b.ticket) || compare(a.id, b.id);
}

export class HeaderTree {
  private readonly nodes = new Map<string, Node>();
  private first: Node;
  /** The newest checkpoint that is linked. */
  private reached: Node | undefined;

  /** A tree of the genesis block alone. A chain that inherits its beacon needs the tree of its parent. */
  constructor(
    readonly spec: ChainSpec,
    genesis: Uint8Array,
    private readonly parentChain?: HeaderTree,
  ) {
    if ((spec.rules.beacon !== undefined) !== (parentChain !== undefined)) {
      throw new TypeError("the tree of the parent belongs to chains that inherit its beacon, and to no others");
    }
    this.first = genesisNode(spec, genesis);
    this.nodes.set(idText(genesis), this.first);
  }

  /** FRK-1: the last block of the best chain. */
  get best(): Node {
    return this.first;
  }

  /** LNK-1 to LNK-7; throws the first rule broken. */
  link(proven: ProvenHeader): Node {
    const { claim, header } = proven.sealed;
    const known = this.nodes.get(idText(proven.id));
    if (known !== undefined) return known;
    const parent = this.nodes.get(idText(header.parent));
    check(parent !== undefined, "LNK-1", `the parent ${idText(header.parent)} is not known`);
    check(claim.height === parent.height + 1, "LNK-2", `height ${claim.height} on ${parent.height}`);
    check(claim.slot > parent.slot, "LNK-3", `slot ${claim.slot} is not after ${parent.slot}`);
    const seed = this.seedAfter(parent, claim.slot);
    check(equal(claim.seed, seed), "LNK-4", "the seed is not that of the chain");
    const difficulty = difficultyAfter(this.spec, parent);
    check(claim.difficulty === difficulty, "LNK-5", `difficulty is ${claim.difficulty}, not ${difficulty}`);
    this.checkCheckpoints(claim.height, proven.id);
    return this.add({
      id: proven.id,
      parent,
      height: claim.height,
      slot: claim.slot,
      seed: claim.seed,
      difficulty,
      vrfOutput: claim.vrfOutput,
      ticket: proven.ticket,
      weight: parent.weight + difficulty,
    });
  }

  private seedAfter(parent: Node, slot: bigint): Uint8Array {
    if (this.parentChain === undefined) return seedOfPeriod(this.spec, parent);
    return seedOfRound(this.parentChain, roundOf(this.spec.rules, slot));
  }

  private checkpoint(height: number): string | undefined {
    return this.spec.checkpoints.find((checkpoint) => checkpoint.height === height)?.id;
  }

  /** LNK-6 and LNK-7. */
  private checkCheckpoints(height: number, id: Uint8Array): void {
    const wanted = this.checkpoint(height);
    check(wanted === undefined || wanted === idText(id), "LNK-6", `a checkpoint wants another block at ${height}`);
    const reached = this.reached?.height ?? -1;
    check(height > reached, "LNK-7", `height ${height} is not above the checkpoint at ${reached}`);
  }

  private add(node: Node): Node {
    this.nodes.set(idText(node.id), node);
    if (byRank(node, this.first) < 0) this.first = node;
    if (this.checkpoint(node.height) !== undefined && node.height > (this.reached?.height ?? -1)) this.reach(node);
    return node;
  }

  /** FRK-2: what stands beside a checkpoint leaves. */
  private reach(checkpoint: Node): void {
    this.reached = checkpoint;
    this.first = checkpoint;
    const below = new Set<Node>();
    for (const node of ancestry(checkpoint)) below.add(node);
    for (const [id, node] of this.nodes) {
      if (below.has(node)) continue;
      if (ancestorAt(node, checkpoint.height) !== checkpoint) this.nodes.delete(id);
      else if (byRank(node, this.first) < 0) this.first = node;
    }
  }
}
