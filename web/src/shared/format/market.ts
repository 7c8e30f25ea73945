import type { components } from '../api/schema';

export type Timeframe = components['schemas']['Timeframe'];

export const TIMEFRAMES: Timeframe[] = ['1s', '1m', '3m', '5m', '15m', '30m', '1h', '4h', '1d', '1w'];
/** The six behind the keys 1-6. */
export const MAIN_TIMEFRAMES: Timeframe[] = ['1m', '5m', '15m', '1h', '4h', '1d'];

const LENGTH: Record<Timeframe, number> = {
  '1s': 1000,
  '1m': 60_000,
  '3m': 180_000,
  '5m': 300_000,
  '15m': 900_000,
  '30m': 1_800_000,
  '1h': 3_600_000,
  '4h': 14_400_000,
  '1d': 86_400_000,
  '1w': 604_800_000,
};

export function timeframeMs(timeframe: Timeframe): number {
  return LENGTH[timeframe];
}

export function asTimeframe(value: unknown, fallback: Timeframe): Timeframe {
  return TIMEFRAMES.find((known) => known === value) ?? fallback;
}

/** BTC-USDT in URLs, API and files; BTC/USDT on screens. */
export function showSymbol(symbol: string): string {
  return symbol.replace('-', '/');
}

export function splitSymbol(symbol: string): [base: string, quote: string] {
  const cut = symbol.lastIndexOf('-');
  return cut < 0 ? [symbol, ''] : [symbol.slice(0, cut), symbol.slice(cut + 1)];
}

const VENUES: Record<string, string> = { binance: 'Binance spot', demo: 'Demo' };

export function venueName(exchange: string): string {
  return VENUES[exchange] ?? exchange;
}

/** "1 candle repaired", "6 candles repaired". */
export function repairedCandles(count: number): string {
  return count === 1 ? '1 candle repaired' : `${count} candles repaired`;
}

/** "1 candle lacks trades", "6 candles lack trades". */
export function lackingCandles(count: number): string {
  return count === 1 ? '1 candle lacks trades' : `${count} candles lack trades`;
}
