// Branches as lanes: the active chain is the first, each other one has a lane of its own up to where it leaves.

import type { Header } from "./answers";

export interface Placed {
  readonly header: Header;
  readonly lane: number;
  readonly parent: Placed | undefined;
}

/** Branches are given from their ends downwards, the active one first. */
export function lanesOf(branches: readonly (readonly Header[])[]): Placed[] {
  const placed = new Map<string, Placed>();
  branches.forEach((headers, lane) => {
    for (const header of [...headers].reverse()) {
      if (placed.has(header.hash)) continue;
      placed.set(header.hash, { header, lane, parent: placed.get(header.previousblockhash ?? "") });
    }
  });
  return [...placed.values()];
}
