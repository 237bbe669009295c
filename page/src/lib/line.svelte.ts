// The one connection: JSON-RPC 2.0 over a WebSocket of the page's own origin. It comes back by itself, and says how it
// is. Nothing here knows what is asked.

import { parse } from "./json";

export type Topic = "tip" | "pool" | "farm" | "round" | "plots" | "peers";
export const TOPICS: readonly Topic[] = ["tip", "pool", "farm", "round", "plots", "peers"];

export interface PageEvent {
  readonly topic: Topic;
  readonly chain?: string;
  readonly data: unknown;
}

export type LineState = "connecting" | "open" | "lost";

/** What the other end refused, with the code of JSON-RPC. */
export class Refusal extends Error {
  constructor(
    readonly code: number,
    message: string,
  ) {
    super(message);
    this.name = "Refusal";
  }
}

interface Waiting {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

const WAIT_FIRST = 500;
const WAIT_MOST = 8_000;

class Line {
  state = $state<LineState>("connecting");
  /** Grows with each new connection: what was shown before may be old. */
  epoch = $state(0);
  /** When the next try begins, in milliseconds of the clock. */
  retryAt = $state(0);

  private socket: WebSocket | undefined;
  private next = 1;
  private wait = WAIT_FIRST;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly waiting = new Map<number, Waiting>();
  private readonly listeners = new Set<(event: PageEvent) => void>();

  start(): void {
    clearTimeout(this.timer);
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}/ws`);
    this.socket = socket;
    socket.onopen = () => {
      this.wait = WAIT_FIRST;
      void this.ask("page_subscribe", { topics: TOPICS }).catch(() => undefined);
      this.state = "open";
      this.epoch += 1;
    };
    socket.onmessage = (message) => this.hear(String(message.data));
    socket.onclose = () => this.lose();
  }

  /** Tries again at once. */
  retry(): void {
    if (this.state === "lost") this.start();
  }

  ask<T>(method: string, params: object): Promise<T> {
    const socket = this.socket;
    if (socket === undefined || socket.readyState !== WebSocket.OPEN) {
      return Promise.reject(new Refusal(0, "not connected"));
    }
    const id = this.next++;
    return new Promise<T>((resolve, reject) => {
      this.waiting.set(id, { resolve: resolve as (result: unknown) => void, reject });
      socket.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
    });
  }

  /** Calls `hear` with each event until the function that it returns is called. */
  listen(hear: (event: PageEvent) => void): () => void {
    this.listeners.add(hear);
    return () => this.listeners.delete(hear);
  }

  private hear(text: string): void {
    const message = parse(text) as {
      id?: number;
      result?: unknown;
      error?: { code: number; message: string };
      method?: string;
      params?: PageEvent;
    };
    if (message.method === "page_event" && message.params !== undefined) {
      for (const listener of this.listeners) listener(message.params);
      return;
    }
    const waiting = this.waiting.get(message.id ?? 0);
    if (waiting === undefined) return;
    this.waiting.delete(message.id ?? 0);
    if (message.error === undefined) waiting.resolve(message.result);
    else waiting.reject(new Refusal(message.error.code, String(message.error.message)));
  }

  private lose(): void {
    for (const waiting of this.waiting.values()) waiting.reject(new Refusal(0, "not connected"));
    this.waiting.clear();
    this.state = "lost";
    this.retryAt = Date.now() + this.wait;
    this.timer = setTimeout(() => this.start(), this.wait);
    this.wait = Math.min(this.wait * 2, WAIT_MOST);
  }
}

export const line = new Line();
