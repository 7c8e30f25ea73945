import { act, fireEvent, render, screen, within } from '@testing-library/react';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { CandleBook } from '@/shared/candles/candleBook';
import { IndicatorBook } from '@/shared/candles/indicatorBook';
import { candle, MINUTE, minutes, T0 } from '@/test/builders';
import type { ChartSeries, ChartViewOptions } from './chartView';
import { indicatorName, PriceChart } from './PriceChart';

// The canvas itself is proven in the browser (e2e); here stands what surrounds it.
const views: {
  options: ChartViewOptions;
  pan: ReturnType<typeof vi.fn>;
  zoom: ReturnType<typeof vi.fn>;
  gaps: unknown;
  series: ChartSeries[];
  disposed: boolean;
}[] = [];
vi.mock('./chartLines', () => ({ lineColours: (ids: string[]) => new Map(ids.map((id) => [id, 'wax'])) }));
vi.mock('./chartView', () => ({
  ChartView: class {
    entry: (typeof views)[number];
    pan = vi.fn();
    zoom = vi.fn();
    constructor(_element: HTMLElement, series: ChartSeries, options: ChartViewOptions) {
      this.entry = { options, series: [series], pan: this.pan, zoom: this.zoom, gaps: null, disposed: false };
      views.push(this.entry);
    }
    setGaps(gaps: unknown) {
      this.entry.gaps = gaps;
    }
    show(series: ChartSeries) {
      this.entry.series.push(series);
    }
    restyle() {}
    dispose() {
      this.entry.disposed = true;
    }
  },
}));

beforeEach(() => {
  views.length = 0;
});

function show(change: Partial<Parameters<typeof PriceChart>[0]> = {}) {
  const book = new CandleBook();
  book.merge(minutes(3));
  const props = {
    label: 'BTC-USDT 1m candles',
    series: 'binance:BTC-USDT:1m',
    book,
    indicators: new IndicatorBook(),
    indicatorIds: ['ema:21', 'rsi:14'],
    gaps: [],
    step: MINUTE,
    priceTick: '0.01',
    onNeedOlder: vi.fn(),
    ...change,
  };
  return { book, props, ...render(<PriceChart {...props} />) };
}

describe('price chart', () => {
  it('credits TradingView with a link in its corner', () => {
    show();
    expect(screen.getByRole('link', { name: 'Charts by TradingView' })).toHaveAttribute(
      'href',
      'https://www.tradingview.com/',
    );
  });

  it('writes the candle under the crosshair into the legend', () => {
    const { container } = show();
    act(() => views[0]?.options.onReading({ candle: candle({ open: 1234.5, close: 99 }), lines: [] }));
    expect(container.querySelector('[data-part="open"]')).toHaveTextContent('1,234.50');
    expect(container.querySelector('[data-part="close"]')).toHaveTextContent('99.00');
  });

  it('tells readers without sight of every fault it draws', () => {
    show();
    const hole = {
      start: T0,
      end: T0,
      bars: 1,
      title: 'Venue halted 4 h 44 min',
      detail: '0 trades, verified',
      settled: true,
    };
    act(() =>
      views[0]?.options.onFacts({ series: 'binance:BTC-USDT:1m', bars: 3, holes: [hole], repaired: 6, gapped: 1 }),
    );
    const list = screen.getByRole('list', { name: 'Known faults in this chart' });
    expect(
      within(list)
        .getAllByRole('listitem')
        .map((item) => item.textContent),
    ).toEqual(['Venue halted 4 h 44 min, 0 trades, verified', '6 candles repaired', '1 candle lacks trades']);
  });

  it('hands facts on only when they differ, however often the canvas is drawn', () => {
    const onFacts = vi.fn();
    show({ onFacts });
    const facts = { series: 'binance:BTC-USDT:1m', bars: 3, holes: [], repaired: 1, gapped: 0 };
    act(() => {
      for (let i = 0; i < 10; i += 1) views[0]?.options.onFacts({ ...facts, bars: i });
    });
    expect(onFacts).toHaveBeenCalledTimes(1);
  });

  it('moves and zooms by keys', () => {
    show();
    const chart = screen.getByRole('region', { name: 'BTC-USDT 1m candles' });
    fireEvent.keyDown(chart, { key: 'ArrowLeft' });
    fireEvent.keyDown(chart, { key: 'ArrowRight', shiftKey: true });
    expect(views[0]?.pan.mock.calls).toEqual([[-5], [50]]);
    fireEvent.keyDown(chart, { key: '+' });
    expect(views[0]?.zoom).toHaveBeenCalledWith(1.25);
    fireEvent.keyDown(chart, { key: '+', ctrlKey: true });
    expect(views[0]?.zoom).toHaveBeenCalledTimes(1);
  });

  it('gives the same candles as a table', () => {
    show({ asTable: true });
    const rows = within(screen.getByRole('table')).getAllByRole('row');
    expect(rows).toHaveLength(4);
    expect(rows[1]).toHaveTextContent('2026-03-04 14:02:00');
    expect(rows[1]).toHaveTextContent('final');
  });

  it('gives another series to the same canvas, with its own decimals', () => {
    const { container, props, rerender } = show();
    expect(views[0]?.series.map((series) => series.key)).toEqual(['binance:BTC-USDT:1m']);
    const next = { series: 'binance:XRP-USDT:1h', book: new CandleBook(), step: 60 * MINUTE, priceTick: '0.0001' };
    rerender(<PriceChart {...props} {...next} />);
    expect(views).toHaveLength(1);
    expect(views[0]?.disposed).toBe(false);
    expect(views[0]?.series.at(-1)).toMatchObject({ key: next.series, book: next.book, step: next.step, decimals: 4 });
    const canvas = screen.getByTestId('price-chart');
    expect(canvas).not.toHaveAttribute('data-series', next.series);
    act(() => {
      views[0]?.options.onFacts({ series: next.series, bars: 7, holes: [], repaired: 0, gapped: 0 });
      views[0]?.options.onReading({ candle: candle({ open: 0.5 }), lines: [] });
    });
    expect(canvas).toHaveAttribute('data-series', next.series);
    expect(container.querySelector('[data-part="open"]')).toHaveTextContent('0.5000');
  });

  it('hands the ledger to the canvas and lets go of it at the end', () => {
    const { unmount } = show();
    expect(views[0]?.gaps).toEqual([]);
    unmount();
    expect(views.every((view) => view.disposed)).toBe(true);
  });

  it('names indicators as people do', () => {
    expect(['ema:21', 'bollinger:20:2', 'vwap'].map(indicatorName)).toEqual(['EMA 21', 'Bollinger 20 2', 'VWAP']);
  });
});
