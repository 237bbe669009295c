// The chain specs: asked of the nodes once for each chain, since a chain's rules are its identity.

import { call, page } from "./page.svelte";

interface SpecFile {
  readonly rules: {
    readonly slot_seconds: number;
    readonly interval_slots: number;
    readonly round_slots: number;
    readonly period_blocks: number;
    readonly filter: number;
    readonly genesis_time: number;
  };
}

const texts = new Map<string, Promise<string>>();
const read = $state<Record<string, SpecFile | undefined>>({});

/** The text of a chain's spec. */
export function specText(chain: string): Promise<string> {
  let text = texts.get(chain);
  if (text === undefined) {
    text = call<string>(`node:${chain}`, "mass_spec");
    text.catch(() => texts.delete(chain));
    texts.set(chain, text);
  }
  return text;
}

/** Learns the rules of all chains of the page. */
export async function learnSpecs(): Promise<void> {
  for (const { name } of page.info?.chains ?? []) {
    if (read[name] !== undefined) continue;
    const text = await specText(name).catch(() => undefined);
    if (text !== undefined) read[name] = JSON.parse(text) as SpecFile;
  }
}

export function rulesOf(chain: string | undefined): SpecFile["rules"] | undefined {
  return chain === undefined ? undefined : read[chain]?.rules;
}

/** Seconds between two blocks on average. */
export function intervalOf(chain: string): number | undefined {
  const rules = rulesOf(chain);
  return rules === undefined ? undefined : rules.interval_slots * rules.slot_seconds;
}
