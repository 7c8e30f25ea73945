import { describe, expect, it } from 'vitest';
import { asTimeframe, showSymbol, splitSymbol } from './market';
import { decimalsOf, formatCompact, formatPercent, formatPrice, formatSize } from './numbers';
import { formatAge, formatClock, formatDateTime, formatDuration } from './time';

describe('numbers', () => {
  it.each([
    ['0.01', 2],
    ['0.01000000', 2],
    ['1', 0],
    ['1.0', 0],
    ['0.00001', 5],
    ['1e-5', 5],
  ])('a tick of %s has %i decimals', (tick, decimals) => expect(decimalsOf(tick)).toBe(decimals));

  it('uses a true minus and shows a dash for no value', () => {
    expect(formatPrice(-1234.5, 2)).toBe('\u22121,234.50');
    expect([null, undefined, Number.NaN].map((v) => formatPrice(v, 2))).toEqual(['–', '–', '–']);
  });

  it.each([
    [0, 2, '0.00'],
    [999.999, 2, '1,000.00'],
    [1_234_567, 0, '1,234,567'],
    [-100_000.5, 1, '\u2212100,000.5'],
    [0.0000123, 7, '0.0000123'],
  ])('%d with %i decimals is %s', (value, decimals, text) => expect(formatPrice(value, decimals)).toBe(text));

  it.each([
    [7.3712, '+7.37%'],
    [-2.931, '\u22122.93%'],
    [-0.001, '0.00%'],
    [null, '–'],
  ])('percent %s', (value, text) => expect(formatPercent(value)).toBe(text));

  it('shortens big numbers and keeps small sizes telling', () => {
    expect([4.44e9, 812_345, 12, 1.5e12].map(formatCompact)).toEqual(['4.44 B', '812.35 k', '12', '1.50 T']);
    expect([0, 100, 0.5, 7.25].map(formatCompact)).toEqual(['0', '100', '0.5', '7.25']);
    expect([0.00123, 1.5, 250.25, 12_345.6].map(formatSize)).toEqual(['0.00123', '1.500', '250.3', '12,346']);
  });
});

describe('times', () => {
  const at = Date.UTC(2021, 3, 26, 10, 7, 21, 937);
  it('are UTC', () => {
    expect(formatClock(at)).toBe('10:07:21');
    expect(formatClock(at, true)).toBe('10:07:21.937');
    expect(formatDateTime(at)).toBe('2021-04-26 10:07:21');
  });

  it.each([
    [17_040_000, '4 h 44 min'],
    [134_000, '2 min 14 s'],
    [31_000, '31 s'],
    [86_400_000, '1 d'],
    [0, '0 s'],
  ])('%i ms last %s', (ms, text) => expect(formatDuration(ms)).toBe(text));

  it.each([
    [14_900, '14s'],
    [134_000, '2m 14s'],
    [11_100_000, '3h 5m'],
    [100_000_000, '1d 3h'],
    [-5, '0s'],
  ])('%i ms of age are %s', (ms, text) => expect(formatAge(ms)).toBe(text));
});

describe('markets', () => {
  it('writes BTC/USDT on screens and splits at the last dash', () => {
    expect(showSymbol('BTC-USDT')).toBe('BTC/USDT');
    expect(splitSymbol('BTC-USDT')).toEqual(['BTC', 'USDT']);
    expect(splitSymbol('X')).toEqual(['X', '']);
  });

  it('takes only timeframes that exist from a URL', () => {
    expect(asTimeframe('4h', '15m')).toBe('4h');
    expect(asTimeframe('7m', '15m')).toBe('15m');
  });
});
