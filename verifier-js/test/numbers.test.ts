// vectors/numbers: CHL-1, DIF-1, FLT-1, HDR-6, LOT-2, LOT-3, SEED-1 and the chain id.

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  challengeOf, compactTarget, fromHex, isAsked, lotteryWeight, nextDifficulty, nextSeed, toHex, wins,
} from "../src/index.js";
import { names, readBuiltIn, readVectors } from "./files.js";

type Texts<Name extends string> = Readonly<Record<Name, string>>;

const tests: Record<string, () => void> = {
  "CHL-1": () => {
    const cases = readVectors<Texts<"beacon" | "seed" | "round" | "challenge">[]>("numbers", "CHL-1");
    for (const { beacon, seed, round, challenge } of cases) {
      assert.equal(toHex(challengeOf(fromHex(beacon), fromHex(seed), BigInt(round))), challenge);
    }
  },
  "DIF-1": () => {
    type Step = Texts<"interval" | "tau" | "min" | "parent" | "gap" | "child">;
    for (const { parent, gap, child, ...step } of readVectors<Step[]>("numbers", "DIF-1")) {
      const [interval, tau, min] = [step.interval, step.tau, step.min].map(BigInt);
      assert.equal(nextDifficulty(BigInt(parent), BigInt(gap), { interval, tau, min }).toString(), child);
    }
  },
  "FLT-1": () => {
    type Asked = Texts<"beacon" | "seed" | "group" | "filter" | "round"> & { readonly asked: boolean };
    for (const { filter, round, asked, ...hex } of readVectors<Asked[]>("numbers", "FLT-1")) {
      const [beacon, seed, group] = [hex.beacon, hex.seed, hex.group].map(fromHex);
      assert.equal(isAsked(beacon, seed, group, BigInt(filter), BigInt(round)), asked);
    }
  },
  "HDR-6": () => {
    const cases = readVectors<{ difficulty: string; bits: number }[]>("numbers", "HDR-6");
    for (const { difficulty, bits } of cases) assert.equal(compactTarget(BigInt(difficulty)), bits, difficulty);
  },
  "LOT-2": () => {
    const cases = readVectors<{ chain: string; strength: number; weight: string }[]>("numbers", "LOT-2");
    for (const { chain, strength, weight } of cases) {
      const { rules } = readBuiltIn(chain);
      assert.equal(lotteryWeight(rules, rules.plot_size, strength).toString(), weight);
    }
  },
  "LOT-3": () => {
    type Draw = Texts<"ticket" | "weight" | "difficulty"> & { readonly wins: boolean };
    for (const draw of readVectors<Draw[]>("numbers", "LOT-3")) {
      assert.equal(wins(fromHex(draw.ticket), BigInt(draw.weight), BigInt(draw.difficulty)), draw.wins);
    }
  },
  "SEED-1": () => {
    const cases = readVectors<Texts<"seed" | "vrf_output" | "next">[]>("numbers", "SEED-1");
    for (const { seed, vrf_output, next } of cases) {
      assert.equal(toHex(nextSeed(fromHex(seed), fromHex(vrf_output))), next);
    }
  },
  "chain-id": () => {
    for (const { name, id, beacon } of readVectors<Texts<"name" | "id" | "beacon">[]>("numbers", "chain-id")) {
      const spec = readBuiltIn(name);
      assert.deepEqual([toHex(spec.id), toHex(spec.beaconId)], [id, beacon]);
    }
  },
};

test("every file is read", () => assert.deepEqual(names("numbers"), Object.keys(tests)));

for (const [name, work] of Object.entries(tests)) test(name, work);
