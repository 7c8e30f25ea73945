import type { Ticker } from '../api/types';
import { type FrameLoop, frames } from './frame';

export type Direction = 'up' | 'down' | null;

/** The newest known ticker of one symbol; a new object each flush in which it changed. */
export interface Tick extends Ticker {
  /** Which way the last price moved in the flush that made this object. */
  direction: Direction;
  /** 3x the usual spacing of this symbol's ticks, bounded: older than that is stale (platform ms). */
  staleAfter: number;
}

const UNHEARD = { direction: null as Direction, staleAfter: 0 };

const MIN_STALE = 15_000;
const MAX_STALE = 120_000;
/** Symbols whose readers hear of news in one frame: a screenful of rows drawn at once takes longer than a frame. */
export const SYMBOLS_A_FRAME = 12;

export function tickKey(exchange: string, symbol: string): string {
  return `${exchange}:${symbol}`;
}

/**
 * Ticks outside React. `apply` may run thousands of times a second; subscribers hear at most once a frame,
 * and only those whose symbol changed; where many changed at once, some hear in the frames behind it.
 */
export class TickStore {
  private readonly ticks = new Map<string, Tick>();
  /** Objects of this store's own, so that the flush may complete them where they are. */
  private readonly pending = new Map<string, Tick>();
  private readonly listeners = new Map<string, Set<() => void>>();
  private readonly spacing = new Map<string, number>();
  private readonly unheard = new Set<string>();
  private readonly flush = (): void => this.flushNow();

  constructor(private readonly loop: FrameLoop = frames) {}

  get(key: string): Tick | undefined {
    return this.ticks.get(key);
  }

  subscribe(key: string, listener: () => void): () => void {
    let set = this.listeners.get(key);
    if (!set) {
      set = new Set();
      this.listeners.set(key, set);
    }
    set.add(listener);
    return () => {
      set.delete(listener);
      if (set.size === 0) this.listeners.delete(key);
    };
  }

  /** Updates come without sparkline; fields that a message leaves out keep their value. */
  apply(tickers: readonly Ticker[]): void {
    for (const ticker of tickers) {
      const key = tickKey(ticker.exchange, ticker.symbol);
      const known = this.pending.get(key) ?? this.ticks.get(key);
      // A page of REST that was slower than the socket must not put the price back.
      if (known?.ts != null && ticker.ts != null && ticker.ts < known.ts) {
        if (ticker.sparkline && !known.sparkline)
          this.pending.set(key, { ...UNHEARD, ...known, sparkline: ticker.sparkline });
        continue;
      }
      if (known?.ts != null && ticker.ts != null && ticker.ts > known.ts) {
        const apart = ticker.ts - known.ts;
        this.spacing.set(key, 0.9 * (this.spacing.get(key) ?? apart) + 0.1 * apart);
      }
      this.pending.set(key, { ...(known ?? UNHEARD), ...ticker });
    }
    if (this.pending.size > 0) this.loop.request(this.flush);
  }

  private flushNow(): void {
    const changed = [...this.pending];
    this.pending.clear();
    for (const [key, tick] of changed) {
      const before = this.ticks.get(key)?.last ?? null;
      const now = tick.last;
      const moved = before === null || now === null ? 0 : Math.sign(now - before);
      tick.staleAfter = Math.min(MAX_STALE, Math.max(MIN_STALE, 3 * (this.spacing.get(key) ?? 0)));
      tick.direction = moved > 0 ? 'up' : moved < 0 ? 'down' : null;
      this.ticks.set(key, tick);
    }
    for (const [key] of changed) if (this.listeners.has(key)) this.unheard.add(key);
    let left = SYMBOLS_A_FRAME;
    for (const key of this.unheard) {
      if (left-- === 0) {
        this.loop.request(this.flush);
        return;
      }
      this.unheard.delete(key);
      for (const listener of this.listeners.get(key) ?? []) listener();
    }
  }
}
