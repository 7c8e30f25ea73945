import type { Trade } from '../api/types';
import { type FrameLoop, frames } from './frame';

/** Trades kept for the tape. */
export const TAPE = 200;

/** The newest trades, newest first, and how many came in each of the last seconds; told once a frame. */
export class TradeRing {
  private items: readonly Trade[] = [];
  private queue: Trade[] = [];
  private readonly seconds = new Map<number, number>();
  private readonly listeners = new Set<() => void>();
  private readonly flush = (): void => this.flushNow();

  constructor(
    private readonly loop: FrameLoop = frames,
    private readonly size = TAPE,
  ) {}

  get trades(): readonly Trade[] {
    return this.items;
  }

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  snapshot = (): readonly Trade[] => this.items;

  /** Trades in any order; known ids are dropped. */
  push(trades: readonly Trade[]): void {
    this.queue.push(...trades);
    if (this.queue.length > 0) this.loop.request(this.flush);
  }

  clear(): void {
    this.items = [];
    this.queue = [];
    this.seconds.clear();
  }

  /** Trades per second over the last `count` whole seconds before `now` (platform ms), oldest first. */
  rates(now: number, count: number): number[] {
    const second = Math.floor(now / 1000);
    return Array.from({ length: count }, (_, i) => this.seconds.get(second - count + i) ?? 0);
  }

  private flushNow(): void {
    const known = new Set(this.items.map((trade) => trade.id));
    const fresh = this.queue.filter((trade) => !known.has(trade.id) && known.add(trade.id));
    this.queue = [];
    if (fresh.length === 0) return;
    for (const trade of fresh) {
      const second = Math.floor(trade.ts / 1000);
      this.seconds.set(second, (this.seconds.get(second) ?? 0) + 1);
    }
    const oldest = Math.max(...this.seconds.keys()) - 120;
    for (const second of this.seconds.keys()) if (second < oldest) this.seconds.delete(second);
    this.items = [...fresh, ...this.items].sort((a, b) => b.ts - a.ts || b.id - a.id).slice(0, this.size);
    for (const listener of this.listeners) listener();
  }
}
