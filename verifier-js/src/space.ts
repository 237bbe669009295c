// Whether a proof of space answers a challenge, and with what quality chain.
// Rules: POS-5, by way of POS-1 to POS-15.

import { plotHash } from "./aes.js";
import { cipher, upperHalves } from "./fragment.js";
import { checkRunningHash, checkTurns, LINKS, setsOf } from "./links.js";
import { areParameters, groupId, plotId, type Group } from "./plot.js";
import { X_VALUES } from "./proof.js";
import { check } from "./rule.js";
import { checkEntryOfTable3 } from "./tables.js";

/** POS-5: the quality chain of a valid proof. The cheap checks come first. */
export function verifySpace(
  group: Group,
  index: number,
  challenge: Uint8Array,
  xValues: readonly number[],
): bigint[] {
  const { k, strength } = group;
  check(areParameters(k, strength), "POS-1", `no plots of k ${k}, strength ${strength}`);
  const inRange = xValues.every((x) => Number.isInteger(x) && x >= 0 && x < 2 ** k);
  check(xValues.length === X_VALUES && inRange, "POS-3", "a proof is 128 numbers of k bits");
  const id = plotId(groupId(group), index);
  const eights = Array.from({ length: LINKS }, (_, i) => xValues.slice(8 * i, 8 * i + 8));
  const encipher = cipher(k, id);
  const links = eights.map((eight) => encipher(upperHalves(k, eight)));
  checkTurns(k, setsOf(k, groupId(group), challenge), links);
  const hash = plotHash(id);
  checkRunningHash(hash, id, challenge, links);
  for (const eight of eights) checkEntryOfTable3({ k, strength, hash }, eight);
  return links;
}
