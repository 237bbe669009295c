// Points of charts: blocks evenly spaced over a range of heights, each asked once.

import type { ChainTip, Header } from "./answers";
import { node } from "./page.svelte";

export interface Sample {
  readonly height: number;
  readonly time: number;
  readonly slot: number;
  readonly difficulty: number;
  readonly txs: number;
  readonly fees: number;
}

interface Stats {
  readonly totalfee: number;
  readonly txs: number;
}

const known = new Map<string, Sample>();
/** A reorg may replace what is so near to the tip, so it is asked again. */
const LOOSE = 12;

async function sample(chain: string, height: number, tip: number): Promise<Sample> {
  const key = `${chain}/${height}`;
  const old = known.get(key);
  if (old !== undefined && height < tip - LOOSE) return old;
  const id = await node<string>("getblockhash", [height]);
  const [header, stats] = await Promise.all([
    node<Header>("getblockheader", [id]),
    node<Stats>("getblockstats", [height, ["totalfee", "txs"]]).catch(() => ({ totalfee: 0, txs: 0 })),
  ]);
  const made = {
    height,
    time: header.time,
    slot: Number(header.slot),
    difficulty: Number(header.difficultyexact),
    txs: stats.txs,
    fees: stats.totalfee,
  };
  known.set(key, made);
  return made;
}

/** At most `points` blocks of the last `range` ones, from height 1: the genesis block has the chain's own time. */
export async function samples(chain: string, range: number, points: number): Promise<Sample[]> {
  const tip = await node<number>("getblockcount");
  const first = Math.max(1, tip - range + 1);
  // Heights that are multiples of one step, so that they are the same ones when the tip has moved.
  const step = Math.max(1, Math.ceil((tip - first + 1) / points));
  const heights = new Set<number>();
  for (let height = Math.ceil(first / step) * step; height <= tip; height += step) heights.add(height);
  if (tip > 0) heights.add(tip);
  return Promise.all([...heights].map((height) => sample(chain, height, tip)));
}

/** Blocks beside the active chain between two samples, as a share of all: what is known here of stale ones. */
export async function staleShares(all: readonly Sample[]): Promise<number[]> {
  const tips = await node<ChainTip[]>("getchaintips");
  const stale = tips.filter((tip) => tip.status !== "active" && tip.branchlen > 0);
  return all.map((sample, at) => {
    const from = all[at - 1]?.height ?? sample.height - 1;
    const lost = stale
      .map((tip) => Math.min(tip.height, sample.height) - Math.max(tip.height - tip.branchlen, from))
      .reduce((sum, blocks) => sum + Math.max(0, blocks), 0);
    return lost / Math.max(1, lost + sample.height - from);
  });
}
