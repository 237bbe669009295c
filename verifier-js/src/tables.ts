// How x-values pair into entries of tables 1, 2 and 3.
// Rules: POS-6, POS-7, POS-8, POS-9.

import type { PlotHash } from "./aes.js";
import { low } from "./bytes.js";
import { check, within } from "./rule.js";

export interface Plot {
  readonly k: number;
  readonly strength: number;
  readonly hash: PlotHash;
}

interface Entry {
  readonly info: bigint;
  readonly meta: bigint;
}

type Table = 1 | 2 | 3;

/** Which section follows which: 0, 2, 1, 3, 0. */
const NEXT_SECTION = [2n, 3n, 1n, 0n];

const keyBits = (plot: Plot, table: Table): number => (table === 1 ? 2 : plot.strength);
const pairsOfRounds = (plot: Plot, table: Table): number => (table === 1 ? 16 * 2 ** (plot.strength - 2) : 16);

/** POS-6. */
function entryOfTable0(plot: Plot, x: number): Entry {
  return { info: low(plot.k, plot.hash(16, BigInt(x))), meta: BigInt(x) };
}

/** POS-7. */
function matches(plot: Plot, table: Table, left: Entry, right: Entry): boolean {
  const targetBits = plot.k - 2 - keyBits(plot, table);
  const section = (entry: Entry): bigint => entry.info >> BigInt(plot.k - 2);
  if (section(right) !== NEXT_SECTION[Number(section(left))]) return false;
  const key = low(keyBits(plot, table), right.info >> BigInt(targetBits));
  const sought = plot.hash(pairsOfRounds(plot, table), BigInt(table) + (key << 32n) + (left.meta << 64n));
  return low(targetBits, right.info) === low(targetBits, sought);
}

/** POS-7 and POS-8. */
function pair(plot: Plot, table: Table, left: Entry, right: Entry): Entry {
  check(matches(plot, table, left, right), "POS-7", `two entries do not match into table ${table}`);
  const h = plot.hash(pairsOfRounds(plot, table), left.meta + (right.meta << 64n));
  check(low(keyBits(plot, table), h >> 96n) === 0n, "POS-8", `a match makes no entry of table ${table}`);
  const meta = table === 1 ? (left.meta << BigInt(plot.k)) + right.meta : low(2 * plot.k, h >> 32n);
  return { info: low(plot.k, h), meta };
}

/** POS-6, POS-7, POS-8, from the eight x-values of an entry of table 3 up. */
function climb(plot: Plot, xValues: readonly number[]): void {
  let entries = xValues.map((x) => entryOfTable0(plot, x));
  for (const table of [1, 2, 3] as const) {
    entries = Array.from({ length: entries.length / 2 }, (_, i) =>
      pair(plot, table, entries[2 * i], entries[2 * i + 1]),
    );
  }
}

/** POS-9: fails unless eight x-values make an entry of table 3. */
export function checkEntryOfTable3(plot: Plot, xValues: readonly number[]): void {
  within("POS-9", () => climb(plot, xValues));
}
