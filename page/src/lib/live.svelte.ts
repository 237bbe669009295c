// An answer that stays true: asked again at each event of its topics, and after each new connection.

import { line, type PageEvent, type Topic } from "./line.svelte";

/** Between two questions, so that a burst of events is one. */
const REST = 200;

export class Live<T> {
  value = $state.raw<T>();
  error = $state<string>();
  /** Asks now. */
  refresh: () => void = () => undefined;
}

export interface LiveOptions {
  readonly topics?: readonly Topic[];
  /** Events of other chains are passed over. */
  readonly chain?: () => string | undefined;
  readonly hear?: (event: PageEvent) => void;
}

/** Asks for as long as the component lives. What `ask` reads before its first await is watched: another chain, say. */
export function live<T>(key: () => unknown, ask: () => Promise<T>, options: LiveOptions = {}): Live<T> {
  const answer = new Live<T>();
  let shown: unknown;
  $effect(() => {
    const now = key();
    if (line.epoch === 0) return undefined;
    if (now !== shown) {
      shown = now;
      answer.value = undefined;
      answer.error = undefined;
    }
    let [stopped, busy, again] = [false, false, false];
    const refresh = async (): Promise<void> => {
      if (busy) {
        again = true;
        return;
      }
      busy = true;
      try {
        const value = await ask();
        if (!stopped) [answer.value, answer.error] = [value, undefined];
      } catch (error) {
        if (!stopped && line.state === "open") answer.error = (error as Error).message;
      }
      setTimeout(() => {
        busy = false;
        if (again && !stopped) {
          again = false;
          void refresh();
        }
      }, REST);
    };
    answer.refresh = () => void refresh();
    const stop = line.listen((event) => {
      if (!(options.topics ?? []).includes(event.topic)) return;
      const chain = options.chain?.();
      if (chain !== undefined && event.chain !== undefined && event.chain !== chain) return;
      options.hear?.(event);
      void refresh();
    });
    void refresh();
    return () => {
      stopped = true;
      stop();
    };
  });
  return answer;
}
