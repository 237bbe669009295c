// Reads the vectors and chain specs of the repository. The only place that knows of files.

import { readdirSync, readFileSync } from "node:fs";

import { readSpec, type ChainSpec } from "../src/index.js";

const ROOT = new URL("../../../", import.meta.url);

export interface Named<T> {
  readonly name: string;
  readonly vector: T;
}

export function readVectors<T>(folder: string): Named<T>[] {
  const at = new URL(`vectors/${folder}/`, ROOT);
  const names = readdirSync(at).filter((name) => name.endsWith(".json")).sort();
  return names.map((name) => ({ name, vector: JSON.parse(readFileSync(new URL(name, at), "utf8")) as T }));
}

export function readBuiltIn(name: string): ChainSpec {
  return readSpec(readFileSync(new URL(`crates/consensus/specs/${name}.json`, ROOT), "utf8"));
}
