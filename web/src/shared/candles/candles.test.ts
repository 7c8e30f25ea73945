import { describe, expect, it, vi } from 'vitest';
import { candle, gap, MINUTE, minutes, T0 } from '@/test/builders';
import { CandleBook } from './candleBook';
import { gappedTimes, labelHoles, repairedTimes, withWhitespace } from './chartRows';
import { IndicatorBook } from './indicatorBook';

describe('candle book', () => {
  it('merges pages and sockets by open time, oldest first', () => {
    const book = new CandleBook();
    book.merge(minutes(3, 10));
    book.merge(minutes(3, 0));
    book.merge(minutes(3, 12));
    expect(book.candles.map((c) => (c.open_time - T0) / MINUTE)).toEqual([0, 1, 2, 10, 11, 12, 13, 14]);
  });

  it('takes the higher revision and refuses the lower', () => {
    const book = new CandleBook();
    book.merge([candle({ revision: 1, close: 107 })]);
    book.merge([candle({ revision: 0, close: 1 })]);
    expect(book.last?.close).toBe(107);
    book.merge([candle({ revision: 2, close: 108, origin: 'repaired' })]);
    expect(book.last).toMatchObject({ close: 108, origin: 'repaired' });
  });

  it('lets an open candle grow and then close, but never open again', () => {
    const book = new CandleBook();
    book.merge([candle({ final: false, close: 101 })]);
    book.merge([candle({ final: false, close: 102 })]);
    expect(book.last?.close).toBe(102);
    book.merge([candle({ final: true, close: 103 })]);
    book.merge([candle({ final: false, close: 102 })]);
    expect(book.last).toMatchObject({ final: true, close: 103 });
  });

  it('tells the chart how little it must redraw', () => {
    const book = new CandleBook();
    const heard = vi.fn();
    book.subscribe(heard);
    book.merge(minutes(5));
    expect(heard).toHaveBeenLastCalledWith({ kind: 'all' });
    book.merge([candle({ open_time: T0 + 4 * MINUTE, close: 1 })]);
    expect(heard).toHaveBeenLastCalledWith({ kind: 'tail', from: 4 });
    book.merge([candle({ open_time: T0 + 5 * MINUTE })]);
    expect(heard).toHaveBeenLastCalledWith({ kind: 'tail', from: 5 });
    book.merge([candle({ open_time: T0 - MINUTE })]);
    expect(heard).toHaveBeenLastCalledWith({ kind: 'all' });
    heard.mockClear();
    book.merge([candle({ open_time: T0 + 5 * MINUTE })]);
    expect(heard).not.toHaveBeenCalled();
  });
});

describe('chart rows', () => {
  it('keeps the true width of a gap as whitespace bars', () => {
    const { slots, holes } = withWhitespace([...minutes(2), ...minutes(2, 7)], MINUTE);
    expect(slots).toHaveLength(9);
    expect(slots.filter((slot) => slot.candle === null).map((slot) => (slot.time - T0) / MINUTE)).toEqual([
      2, 3, 4, 5, 6,
    ]);
    expect(holes).toEqual([{ start: T0 + 2 * MINUTE, end: T0 + 6 * MINUTE, bars: 5 }]);
  });

  it('has no hole in unbroken candles', () => {
    expect(withWhitespace(minutes(50), MINUTE).holes).toEqual([]);
  });

  it('labels a hole from the ledger entry that overlaps it most', () => {
    const { holes } = withWhitespace([...minutes(1), ...minutes(1, 285)], MINUTE);
    const halt = gap({ start: T0 + MINUTE, end: T0 + 285 * MINUTE });
    const other = gap({ id: 'g2', reason: 'silence', state: 'open', start: T0, end: T0 + 2 * MINUTE });
    expect(labelHoles(holes, [other, halt], MINUTE)).toEqual([
      expect.objectContaining({
        title: 'Venue halted 4 h 44 min',
        detail: '0 trades, verified',
        settled: true,
        bars: 284,
      }),
    ]);
  });

  it('says so when the ledger knows nothing of a hole', () => {
    const { holes } = withWhitespace([...minutes(1), ...minutes(1, 3)], MINUTE);
    expect(labelHoles(holes, [gap({ start: T0 - 9 * MINUTE, end: T0 - MINUTE })], MINUTE)[0]).toMatchObject({
      title: 'No candles 2 min',
      detail: 'not in the gap ledger',
      settled: false,
    });
  });

  it.each([
    [
      gap({ state: 'open', reason: 'missing_ids', trades_missing: 37 }),
      'Trades missing 5 min',
      '37 trades being fetched',
      false,
    ],
    [gap({ state: 'lost', reason: 'disconnect', trades_missing: null }), 'Disconnected 5 min', 'lost', false],
    [gap({ state: 'repaired', reason: 'silence' }), 'Feed silent 5 min', 'repaired', true],
    [gap({ state: 'repaired', reason: 'clock_jump' }), 'Clock jump 5 min', 'repaired', true],
  ])('words an entry: %#', (entry, title, detail, settled) => {
    const hole = { start: T0, end: T0 + 4 * MINUTE, bars: 5 };
    expect(labelHoles([hole], [entry], MINUTE)[0]).toMatchObject({ title, detail, settled });
  });

  it('finds repaired and gapped candles', () => {
    const rows = [
      candle({ origin: 'repaired' }),
      candle({ open_time: T0 + MINUTE }),
      candle({ open_time: T0 + 2 * MINUTE, quality: 'gapped' }),
    ];
    expect(repairedTimes(rows)).toEqual([T0]);
    expect(gappedTimes(rows)).toEqual([T0 + 2 * MINUTE]);
  });
});

describe('indicator book', () => {
  const page = (values: (number | null)[]) => ({
    exchange: 'binance',
    symbol: 'BTC-USDT',
    timeframe: '1m' as const,
    open_times: values.map((_, i) => T0 + i * MINUTE),
    series: [
      {
        id: 'ema:21',
        name: 'EMA 21',
        pane: 'price' as const,
        output: 'value',
        line: 'line' as const,
        values,
        look_back: 21,
        levels: [],
      },
    ],
  });

  it('keeps null where the server gives no value', () => {
    const indicators = new IndicatorBook();
    indicators.merge(page([null, 1.5]));
    const line = indicators.all[0];
    expect(line?.values.get(T0)).toBeNull();
    expect(line?.values.get(T0 + MINUTE)).toBe(1.5);
  });

  it('knows which lines are still to come', () => {
    const indicators = new IndicatorBook();
    indicators.keep(['ema:21', 'bollinger:20:2']);
    indicators.merge(page([1]));
    expect(['ema:21/value', 'bollinger:20:2/upper', 'rsi:14/value'].map((key) => indicators.awaits(key))).toEqual([
      false,
      true,
      false,
    ]);
  });

  it('drops a line that is no longer wanted and tells the chart', () => {
    const indicators = new IndicatorBook();
    indicators.merge(page([1]));
    const heard = vi.fn();
    indicators.subscribe(heard);
    indicators.keep([]);
    expect(indicators.all).toEqual([]);
    expect(heard).toHaveBeenCalledTimes(1);
  });
});
