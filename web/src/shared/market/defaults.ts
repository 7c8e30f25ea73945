import type { Timeframe } from '../format/market';

export const DEFAULT_EXCHANGE = 'binance';
export const DEFAULT_SYMBOL = 'BTC-USDT';
export const DEFAULT_TIMEFRAME: Timeframe = '15m';
export const DEFAULT_INDICATORS: readonly string[] = ['ema:21', 'ema:55', 'vwap', 'rsi:14'];

/** "ema:21,vwap" of a URL as a list; absent means the default set, empty means none. */
export function parseIndicators(text: string | undefined): readonly string[] {
  if (text === undefined) return DEFAULT_INDICATORS;
  return [...new Set(text.split(',').filter((id) => /^[a-z_]+(:[0-9.]+)*$/.test(id)))];
}

/** What the URL says for a list: nothing for the default, so that plain links stay plain. */
export function writeIndicators(ids: readonly string[]): string | undefined {
  const text = ids.join(',');
  return text === DEFAULT_INDICATORS.join(',') ? undefined : text;
}
