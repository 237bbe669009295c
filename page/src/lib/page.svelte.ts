// What the whole page knows: the chains, where one is in the page, and the token that the address brought.

import { line } from "./line.svelte";

export interface PageChain {
  readonly name: string;
  readonly chain_id: string;
  readonly ticker: string;
  readonly decimals: number;
  readonly has_ledger: boolean;
  readonly has_wallet: boolean;
  readonly slot_seconds?: number;
}

export interface PageInfo {
  readonly version: string;
  readonly chains: readonly PageChain[];
  readonly farm: boolean;
  /** Whether the page is served to this machine alone, so that a token is of use. */
  readonly changes?: boolean;
  /** Whether the token that was given is the right one. */
  readonly token?: boolean;
}

export const VIEWS = ["farm", "explorer", "wallet", "peers"] as const;
export type View = (typeof VIEWS)[number];

/** `#/VIEW/CHAIN/PAGE/ARGUMENT`; all but the view may be missing. */
export interface Place {
  readonly view: View;
  readonly chain: string | undefined;
  readonly page: string;
  readonly argument: string;
}

export type Target = `node:${string}` | `wallet:${string}` | "farm";

const TOKEN = "token";

function readPlace(hash: string): Place {
  const parts = hash.replace(/^#\/?/, "").split("/").map(safeDecode);
  const view = VIEWS.find((view) => view === parts[0]);
  const chain = parts[1] === "" ? undefined : parts[1];
  return { view: view ?? "farm", chain, page: parts[2] ?? "", argument: parts[3] ?? "" };
}

function safeDecode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function store(): Storage | undefined {
  try {
    return sessionStorage;
  } catch {
    return undefined;
  }
}

/** Takes the token out of the address, so that it is in no history and on no screenshot. */
function takeToken(): string | undefined {
  const found = /^#token=([\w-]+)$/.exec(location.hash);
  if (found !== null) {
    store()?.setItem(TOKEN, found[1]);
    history.replaceState(null, "", `${location.pathname}#/`);
    return found[1];
  }
  return store()?.getItem(TOKEN) ?? undefined;
}

class Page {
  info = $state.raw<PageInfo>();
  error = $state<string>();
  token = $state(takeToken());
  place = $state.raw(readPlace(location.hash));
  private last = $state<string>();

  /** Whether something may be changed here: plots made, coins sent. */
  mayChange = $derived(this.token !== undefined && this.info?.token !== false);

  /** The chain that is looked at: the one of the address, the last one, or the first. */
  chain = $derived.by(() => {
    const chains = this.info?.chains ?? [];
    const named = (name: string | undefined) => chains.find((chain) => chain.name === name);
    return named(this.place.chain) ?? named(this.last) ?? chains[0];
  });

  constructor() {
    addEventListener("hashchange", () => {
      const token = takeToken();
      if (token !== undefined) this.token = token;
      this.place = readPlace(location.hash);
      this.last = this.place.chain ?? this.last;
      scrollTo(0, 0);
    });
  }

  async load(): Promise<void> {
    try {
      this.info = await line.ask<PageInfo>("page_info", this.token === undefined ? {} : { token: this.token });
      this.error = undefined;
    } catch (error) {
      this.error = (error as Error).message;
    }
  }

  /** The address of a place; a chain belongs to all but the farm. */
  href(view: View, page = "", argument: string | number = "", chain = this.chain?.name ?? ""): string {
    const parts = [view, chain, page, String(argument)].map(encodeURIComponent);
    while (parts.at(-1) === "") parts.pop();
    return `#/${parts.join("/")}`;
  }
}

export const page = new Page();

/** Calls a method of a node, of the farmer or of a wallet. */
export function call<T>(to: Target, method: string, params: readonly unknown[] | object = [], wallet?: string): Promise<T> {
  const token = page.token === undefined ? {} : { token: page.token };
  return line.ask<T>("page_call", { to, method, params, ...token, ...(wallet === undefined ? {} : { wallet }) });
}

/** Calls a method of the node of the chain that is looked at. */
export function node<T>(method: string, params: readonly unknown[] | object = []): Promise<T> {
  return call<T>(`node:${page.chain?.name ?? ""}`, method, params);
}
