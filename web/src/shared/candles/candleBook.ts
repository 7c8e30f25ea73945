import type { Candle } from '../api/types';

/** What changed, so that a chart can do the least: `tail` touches only the last bars. */
export type BookChange = { kind: 'all' } | { kind: 'tail'; from: number };

/**
 * The candles of one series, oldest first, merged from pages and sockets by open time: the higher revision wins,
 * and of equal ones the later word (an open candle grows under one revision).
 */
export class CandleBook {
  private rows: Candle[] = [];
  private readonly listeners = new Set<(change: BookChange) => void>();

  get candles(): readonly Candle[] {
    return this.rows;
  }

  get last(): Candle | undefined {
    return this.rows[this.rows.length - 1];
  }

  get first(): Candle | undefined {
    return this.rows[0];
  }

  subscribe(listener: (change: BookChange) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  indexAt(openTime: number): number {
    let low = 0;
    let high = this.rows.length;
    while (low < high) {
      const mid = (low + high) >> 1;
      if ((this.rows[mid] as Candle).open_time < openTime) low = mid + 1;
      else high = mid;
    }
    return low;
  }

  at(openTime: number): Candle | undefined {
    const row = this.rows[this.indexAt(openTime)];
    return row?.open_time === openTime ? row : undefined;
  }

  /** Merge candles (any order); tells subscribers once. */
  merge(candles: readonly Candle[]): void {
    if (candles.length === 0) return;
    const before = this.rows.length;
    let lowest = Number.POSITIVE_INFINITY;
    let inserted = false;
    const fresh: Candle[] = [];
    for (const candle of candles) {
      const at = this.indexAt(candle.open_time);
      const known = this.rows[at];
      if (known?.open_time === candle.open_time) {
        const older = candle.revision < known.revision;
        // A snapshot that left before the candle closed must not open it again.
        const reopened = candle.revision === known.revision && known.final && !candle.final;
        if (older || reopened || same(known, candle)) continue;
        this.rows[at] = candle;
        lowest = Math.min(lowest, at);
      } else if (at === this.rows.length) {
        this.rows.push(candle);
        lowest = Math.min(lowest, at);
      } else {
        fresh.push(candle);
        inserted = true;
      }
    }
    if (inserted) {
      const byTime = new Map<number, Candle>(this.rows.map((row) => [row.open_time, row]));
      for (const candle of fresh) {
        const known = byTime.get(candle.open_time);
        if (!known || candle.revision >= known.revision) byTime.set(candle.open_time, candle);
      }
      this.rows = [...byTime.values()].sort((a, b) => a.open_time - b.open_time);
    }
    if (inserted || before === 0) this.tell({ kind: 'all' });
    else if (Number.isFinite(lowest)) this.tell({ kind: 'tail', from: lowest });
  }

  /** Start again with these candles alone, oldest first. */
  restart(candles: readonly Candle[]): void {
    this.rows = [...candles];
    this.tell({ kind: 'all' });
  }

  private tell(change: BookChange): void {
    for (const listener of this.listeners) listener(change);
  }
}

function same(a: Candle, b: Candle): boolean {
  return (
    a.revision === b.revision &&
    a.final === b.final &&
    a.close === b.close &&
    a.volume === b.volume &&
    a.high === b.high &&
    a.low === b.low &&
    a.open === b.open &&
    a.origin === b.origin &&
    a.quality === b.quality &&
    a.trades === b.trades
  );
}
