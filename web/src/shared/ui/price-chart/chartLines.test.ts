import type { IChartApi } from 'lightweight-charts';
import { describe, expect, it, vi } from 'vitest';
import { IndicatorBook } from '../../candles/indicatorBook';
import { ChartLines, lineColours } from './chartLines';

/** A chart that only knows its panes, as the library keeps them: one that loses its last series is gone. */
function fakeChart() {
  const panes: object[][] = [[{}], [{}]];
  const chart = {
    panes: () => panes,
    addCustomSeries: (_view: unknown, _options: unknown, pane: number) => {
      const series = {
        setData: vi.fn(),
        applyOptions: vi.fn(),
        createPriceLine: vi.fn(),
        priceScale: () => ({ applyOptions: vi.fn() }),
        getPane: () => ({ paneIndex: () => panes.findIndex((held) => held.includes(series)) }),
      };
      panes[pane] ??= [];
      panes[pane].push(series);
      return series;
    },
    removeSeries: (series: object) => {
      const at = panes.findIndex((held) => held.includes(series));
      panes[at] = (panes[at] ?? []).filter((held) => held !== series);
      if (panes[at].length === 0) panes.splice(at, 1);
    },
  };
  return { chart: chart as unknown as IChartApi, panes };
}

const page = (id: string, pane: 'price' | 'own', outputs = ['value']) => ({
  exchange: 'demo',
  symbol: 'BTC-USDT',
  timeframe: '1m' as const,
  open_times: [60_000, 120_000],
  series: outputs.map((output) => ({
    id,
    output,
    name: id.toUpperCase(),
    pane,
    line: 'line' as const,
    levels: [],
    look_back: 0,
    values: [null, 7],
  })),
});

function made() {
  const { chart, panes } = fakeChart();
  const book = new IndicatorBook();
  const [onPane, onPaneGone] = [vi.fn(), vi.fn()];
  const lines = new ChartLines(chart, book, { decimals: 2, onPane, onPaneGone });
  return { panes, book, onPane, onPaneGone, lines };
}

describe('the lines of a chart', () => {
  it('say when they come or go, and stay quiet while only values change', () => {
    const { book, lines } = made();
    expect(lines.draw([])).toBe(false);
    book.merge(page('ema:21', 'price'));
    expect(lines.draw([])).toBe(true);
    book.merge(page('ema:21', 'price'));
    expect(lines.draw([])).toBe(false);
    book.keep([]);
    expect(lines.draw([])).toBe(true);
  });

  it('open a pane below the others, and tell which one left', () => {
    const { book, lines, onPane, onPaneGone, panes } = made();
    book.merge(page('rsi:14', 'own'));
    book.merge(page('rsi:7', 'own'));
    lines.draw([]);
    expect(onPane.mock.calls).toEqual([
      [2, 'RSI:14'],
      [3, 'RSI:7'],
    ]);
    book.keep(['rsi:7']);
    lines.draw([]);
    expect(onPaneGone.mock.calls).toEqual([[2]]);
    expect(panes).toHaveLength(3);
  });

  it('leave no pane behind for an overlay', () => {
    const { book, lines, onPaneGone } = made();
    book.merge(page('ema:21', 'price'));
    lines.draw([]);
    book.keep([]);
    lines.draw([]);
    expect(onPaneGone).not.toHaveBeenCalled();
  });

  it('read one value for each line, one line for a band, null where there is none', () => {
    const { book, lines } = made();
    book.merge(page('bollinger:20:2', 'price', ['upper', 'middle', 'lower']));
    expect(lines.read(120_000)).toEqual([{ key: 'bollinger:20:2/middle', value: 7 }]);
    expect(lines.read(60_000)).toEqual([{ key: 'bollinger:20:2/middle', value: null }]);
    expect(lines.read(undefined)).toEqual([{ key: 'bollinger:20:2/middle', value: null }]);
  });

  it('have colours by their order, quiet ones for VWAP and bands', () => {
    const colours = lineColours(['ema:21', 'vwap', 'ema:55', 'bollinger:20:2', 'rsi:14']);
    expect([...colours.values()]).toEqual(['wax', 't3', 'series-4', 'series-6', 't2']);
  });
});
