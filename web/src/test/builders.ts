import type { Book, Candle, Gap, SymbolInfo, Ticker, Trade } from '@/shared/api/types';
import type { FrameLoop } from '@/shared/ticks/frame';

export const MINUTE = 60_000;
export const T0 = Date.UTC(2026, 2, 4, 14, 0);

export function candle(change: Partial<Candle> = {}): Candle {
  return {
    open_time: T0,
    open: 100,
    high: 110,
    low: 95,
    close: 105,
    volume: 12.5,
    quote_volume: 1300,
    taker_buy_volume: 6,
    trades: 42,
    final: true,
    revision: 0,
    origin: 'built',
    quality: 'ok',
    ...change,
  };
}

/** `count` consecutive minutes from T0. */
export function minutes(count: number, from = 0): Candle[] {
  return Array.from({ length: count }, (_, i) => candle({ open_time: T0 + (from + i) * MINUTE, close: 100 + i }));
}

export function gap(change: Partial<Gap> = {}): Gap {
  return {
    id: 'g1',
    exchange: 'binance',
    symbol: 'BTC-USDT',
    start: T0,
    end: T0 + 5 * MINUTE,
    reason: 'venue_halt',
    state: 'verified_empty',
    trades_missing: 0,
    detected_at: T0,
    closed_at: T0,
    detail: '',
    ...change,
  };
}

export function symbol(change: Partial<SymbolInfo> = {}): SymbolInfo {
  return {
    exchange: 'binance',
    symbol: 'BTC-USDT',
    base: 'BTC',
    quote: 'USDT',
    status: 'trading',
    price_tick: '0.01',
    size_step: '0.00001',
    origin: 'live',
    ...change,
  };
}

export function ticker(change: Partial<Ticker> = {}): Ticker {
  return {
    exchange: 'binance',
    symbol: 'BTC-USDT',
    last: 53222.61,
    bid: 53222.6,
    ask: 53222.61,
    open_24h: 50000,
    high_24h: 53544,
    low_24h: 46930,
    volume_24h: 1000,
    quote_volume_24h: 4.44e9,
    change_24h: 3222.61,
    change_pct_24h: 6.44,
    ts: T0,
    origin: 'simulated',
    quality: 'ok',
    ...change,
  };
}

export function trade(id: number, change: Partial<Trade> = {}): Trade {
  return { id, price: 100, size: 1, side: 'buy', ts: T0 + id, ...change };
}

export function book(change: Partial<Book> = {}): Book {
  return {
    exchange: 'binance',
    symbol: 'BTC-USDT',
    bids: [
      [99.9, 1],
      [99.8, 2],
      [99.4, 3],
    ],
    asks: [
      [100.1, 1],
      [100.2, 2],
      [100.6, 3],
    ],
    ts: T0,
    sequence: 1,
    in_sequence: true,
    mode: 'simulated',
    ...change,
  };
}

/** Frames that come when the test says so. */
export function manualFrames(): FrameLoop & { run(): number } {
  const queue = new Set<() => void>();
  return {
    request: (work) => queue.add(work),
    run() {
      const due = [...queue];
      queue.clear();
      for (const work of due) work();
      return due.length;
    },
  };
}
