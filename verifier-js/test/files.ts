// Reads the vectors and chain specs of the repository. The only place that knows of files.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";

import { readSpec, RuleError, type ChainSpec } from "../src/index.js";

const ROOT = new URL("../../../", import.meta.url);

/** The files of a folder of vectors, without their ending. */
export function names(folder: string): string[] {
  const files = readdirSync(new URL(`vectors/${folder}`, ROOT));
  return files.map((file) => file.replace(/\.json$/, "")).sort();
}

export function readVectors<T>(folder: string, name: string): T {
  return JSON.parse(readFileSync(new URL(`vectors/${folder}/${name}.json`, ROOT), "utf8")) as T;
}

export function readBuiltIn(name: string): ChainSpec {
  return readSpec(readFileSync(new URL(`crates/consensus/specs/${name}.json`, ROOT), "utf8"));
}

export function assertBreaks(rule: string, work: () => unknown): void {
  assert.throws(work, (error) => error instanceof RuleError && error.rule === rule, `breaks ${rule}`);
}
