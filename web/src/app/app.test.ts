import { describe, expect, it } from 'vitest';
import { match } from './Palette';
import { parseSearch, stringifySearch } from './router';

describe('addresses', () => {
  it('are plain words, there and back', () => {
    const search = { symbol: 'BTC-USDT', tf: '15m', ind: 'ema:21,bollinger:20:2', exchange: undefined };
    const text = stringifySearch(search);
    expect(text).toBe('?symbol=BTC-USDT&tf=15m&ind=ema:21,bollinger:20:2');
    expect(parseSearch(text)).toEqual({ symbol: 'BTC-USDT', tf: '15m', ind: 'ema:21,bollinger:20:2' });
  });

  it('keep an empty list of indicators apart from none given', () => {
    expect(stringifySearch({ ind: '' })).toBe('?ind=');
    expect(parseSearch('?ind=')).toEqual({ ind: '' });
    expect(stringifySearch({})).toBe('');
  });
});

describe('palette search', () => {
  const rank = (search: string, values: string[]) =>
    values.filter((v) => match(v, search) > 0).sort((a, b) => match(b, search) - match(a, search));
  it('finds symbols as people write them', () => {
    expect(rank('btc/usdt', ['BTC-USDT binance', 'ETH-USDT binance'])).toEqual(['BTC-USDT binance']);
    expect(rank('usdt eth', ['BTC-USDT binance', 'ETH-USDT binance'])).toEqual(['ETH-USDT binance']);
  });
  it('puts a hit at the front first', () => {
    expect(rank('set', ['offset x', 'settings about'])[0]).toBe('settings about');
  });
});
