// Lists of blocks, and the order of forks.

import type { Header } from "./answers";
import { node } from "./page.svelte";

/** The headers of the best chain from a height downwards, the highest first. */
export async function headersDown(from: number, count: number): Promise<Header[]> {
  const heights = Array.from({ length: Math.min(count, from + 1) }, (_, at) => from - at);
  return Promise.all(heights.map(async (height) => node<Header>("getblockheader", [await node("getblockhash", [height])])));
}

/** The headers of a branch from its end down to a height. */
export async function branch(end: string, count: number): Promise<Header[]> {
  const found: Header[] = [];
  for (let at: string | undefined = end; at !== undefined && found.length < count; ) {
    const header: Header = await node<Header>("getblockheader", [at]);
    found.push(header);
    at = header.previousblockhash;
  }
  return found;
}
