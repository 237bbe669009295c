// A chain spec: the parameters of a chain, its id, and the clock that they define.
// Rules: the sections "Notation" and "Time" of consensus.md, the chain id of decision 0004, `F_s` of FLT-1.

import { ascii, fromHex } from "./bytes.js";
import { tagged } from "./hash.js";

/** The parameters that rules name. Integers below 2^53, as JSON in JavaScript has no others. */
export interface Rules {
  readonly name: string;
  readonly genesis_time: number;
  readonly slot_seconds: number;
  readonly round_slots: number;
  readonly period_blocks: number;
  readonly seed_lag_blocks: number;
  readonly interval_slots: number;
  readonly filter: number;
  readonly plot_size: number;
  readonly strength_min: number;
  readonly strength_max: number;
  readonly group_plots_max: number;
  readonly difficulty_initial: number;
  readonly difficulty_min: number;
  readonly difficulty_tau_slots: number;
  readonly evidence_window_blocks: number;
  readonly evidence_per_block_max: number;
  readonly seed_initial: string;
  readonly beacon?: string;
}

export interface Checkpoint {
  readonly height: number;
  /** As people read it: reversed. */
  readonly id: string;
}

export interface ChainSpec {
  readonly rules: Rules;
  readonly checkpoints: readonly Checkpoint[];
  readonly id: Uint8Array;
  readonly beaconId: Uint8Array;
}

/** JSON with sorted keys, no white space and integers only. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (typeof value === "object" && value !== null) {
    const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`).join(",")}}`;
  }
  if (typeof value === "number" && !Number.isSafeInteger(value)) {
    throw new RangeError(`${value} in a chain spec is no integer that JavaScript reads exactly`);
  }
  return JSON.stringify(value);
}

/** A chain spec from the text of its file. */
export function readSpec(text: string): ChainSpec {
  const file = JSON.parse(text) as { rules: Rules; hints: { checkpoints: Checkpoint[] } };
  const id = tagged("chain", ascii(canonicalJson(file.rules)));
  const beaconId = file.rules.beacon === undefined ? id : fromHex(file.rules.beacon);
  return { rules: file.rules, checkpoints: file.hints.checkpoints, id, beaconId };
}

export function roundOf(rules: Rules, slot: bigint): bigint {
  return slot / BigInt(rules.round_slots);
}

export function periodOf(rules: Rules, height: number): number {
  return Math.floor(height / rules.period_blocks);
}

/** The start of a slot in unix seconds; there is none after the last second of a u32. */
export function slotTime(rules: Rules, slot: bigint): number | undefined {
  const time = BigInt(rules.genesis_time) + slot * BigInt(rules.slot_seconds);
  return time < 2n ** 32n ? Number(time) : undefined;
}

/** `F_s` of FLT-1, at most `2^64 - 1`. */
export function filterOf(rules: Rules, strength: number): bigint {
  const filter = BigInt(rules.filter) << BigInt(strength - rules.strength_min);
  return filter < 2n ** 64n ? filter : 2n ** 64n - 1n;
}
