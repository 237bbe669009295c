// Checks a file of `mass node export`: `node dist/test/chain-file.js SPEC FILE [BLOCKS]`, BLOCKS those that it must
// have at the least. Prints what it found, and the rule at which it stopped if there is one.

import { readFileSync } from "node:fs";

import { checkChain, idText, readBlockFile, readSpec } from "../src/index.js";

const [specFile, blockFile, least] = process.argv.slice(2);
if (specFile === undefined || blockFile === undefined) {
  throw new Error("usage: node dist/test/chain-file.js SPEC FILE [BLOCKS]");
}
const started = Date.now();
const spec = readSpec(readFileSync(specFile, "utf8"));
const { blocks, evidence, tree } = checkChain(spec, readBlockFile(readFileSync(blockFile)));
const seconds = (Date.now() - started) / 1000;
const { height, id, weight } = tree.best;
console.log(
  `${blocks} blocks of ${spec.rules.name} hold: tip ${idText(id)} at height ${height}, weight ${weight}, ` +
    `${evidence} pieces of evidence, ${seconds.toFixed(1)} s`,
);
if (blocks < Number(least ?? 0)) throw new Error(`${least} blocks are wanted`);
