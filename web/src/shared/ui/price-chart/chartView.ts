import {
  type CandlestickData,
  CandlestickSeries,
  ColorType,
  CrosshairMode,
  createChart,
  type HistogramData,
  HistogramSeries,
  type IChartApi,
  type ISeriesApi,
  LineStyle,
  type LogicalRange,
  type MouseEventParams,
  type Time,
  type WhitespaceData,
} from 'lightweight-charts';
import type { Candle, Gap } from '../../api/types';
import type { BookChange, CandleBook } from '../../candles/candleBook';
import {
  gappedTimes,
  type Hole,
  type LabelledHole,
  labelHoles,
  repairedTimes,
  type Slot,
  withWhitespace,
} from '../../candles/chartRows';
import type { IndicatorBook } from '../../candles/indicatorBook';
import { formatCompact, formatPrice } from '../../format/numbers';
import { formatClock, formatDate } from '../../format/time';
import { remScale, token, tokenAlpha } from '../../theme/look';
import { frames } from '../../ticks/frame';
import { ChartLines } from './chartLines';
import { PaneDecor, toChartTime } from './paneDecor';

/** What the legend shows: the bar under the crosshair (or the newest) and each line's value there. */
export interface Reading {
  candle: Candle | null;
  lines: { key: string; value: number | null }[];
}

/** What a chart shows: one series, and how its numbers are written. */
export interface ChartSeries {
  /** Which series it is, told back with the facts once its candles are drawn. */
  key: string;
  book: CandleBook;
  indicators: IndicatorBook;
  /** Length of one bar in ms. */
  step: number;
  decimals: number;
}

export interface Facts {
  /** Key of the series whose candles are drawn. */
  series: string;
  bars: number;
  holes: readonly LabelledHole[];
  repaired: number;
  gapped: number;
}

export interface ChartViewOptions {
  onReading(reading: Reading): void;
  onFacts(facts: Facts): void;
  onNeedOlder(): void;
}

/** Axis labels with no more decimals than tell the steps apart: 54,000 rather than 54,000.00. */
export function axisLabels(prices: readonly number[], most: number): string[] {
  let decimals = 0;
  while (decimals < most && prices.some((price) => Math.abs(price - Number(price.toFixed(decimals))) > 1e-9))
    decimals += 1;
  return prices.map((price) => formatPrice(price, decimals));
}

function priceFormat(decimals: number) {
  return {
    type: 'custom' as const,
    minMove: 10 ** -decimals,
    formatter: (price: number) => formatPrice(price, decimals),
    tickmarksFormatter: (prices: readonly number[]) => axisLabels(prices, decimals),
  };
}

/** Bars left of the view at which older history is asked for. */
const LOOK_AHEAD = 60;
/** Bars of room right of the newest. */
const RIGHT_OFFSET = 5;

/**
 * The canvas chart outside React: it hears books and draws at most once a frame. It lives longer than a series: to make
 * the library's canvases anew takes several frames, to give them other candles less than one.
 */
export class ChartView {
  private readonly chart: IChartApi;
  private readonly candles: ISeriesApi<'Candlestick'>;
  private readonly volume: ISeriesApi<'Histogram'>;
  private readonly lines: ChartLines;
  private readonly decors: PaneDecor[] = [];
  private unsubscribe: (() => void)[] = [];
  private slots: Slot[] = [];
  private holes: Hole[] = [];
  private gaps: readonly Gap[] = [];
  private change: BookChange | null = null;
  private linesDirty = false;
  private factsDirty = false;
  private hovered: number | null = null;
  private dead = false;
  /** No candle of this series is drawn yet: what stands there is another's, or nothing. */
  private awaiting = true;
  private readonly resized: ResizeObserver;
  private readonly flush = (): void => this.flushNow();

  constructor(
    private readonly element: HTMLElement,
    private series: ChartSeries,
    private readonly options: ChartViewOptions,
  ) {
    this.chart = createChart(element, {
      autoSize: true,
      layout: { attributionLogo: false, fontFamily: 'Geist, system-ui, sans-serif' },
      localization: {
        locale: 'en-US',
        timeFormatter: (time: Time) => `${formatDate(Number(time) * 1000)} ${formatClock(Number(time) * 1000)} UTC`,
      },
      crosshair: { mode: CrosshairMode.Normal },
      rightPriceScale: { borderVisible: false, minimumWidth: 64 },
      timeScale: {
        borderVisible: false,
        timeVisible: true,
        secondsVisible: series.step < 60_000,
        rightOffset: RIGHT_OFFSET,
        barSpacing: 5,
        minBarSpacing: 0.6,
      },
      handleScroll: { vertTouchDrag: false },
    });
    this.candles = this.chart.addSeries(CandlestickSeries, { priceFormat: priceFormat(series.decimals) });
    this.candles.priceScale().applyOptions({ scaleMargins: { top: 0.12, bottom: 0.06 } });
    this.volume = this.chart.addSeries(
      HistogramSeries,
      {
        priceFormat: { type: 'custom', minMove: 0.00001, formatter: formatCompact },
        priceLineVisible: false,
        lastValueVisible: false,
      },
      1,
    );
    this.volume.priceScale().applyOptions({ scaleMargins: { top: 0.34, bottom: 0 } });
    this.lines = new ChartLines(this.chart, series.indicators, {
      decimals: series.decimals,
      onPane: (pane, title) => this.decorate(pane, title),
      onPaneGone: (pane) => void this.decors.splice(pane, 1),
    });
    this.decorate(0, '');
    this.decorate(1, 'Volume');
    this.chart.timeScale().subscribeVisibleLogicalRangeChange(this.onRange);
    this.chart.subscribeCrosshairMove(this.onCrosshair);
    this.listen();
    this.resized = new ResizeObserver(() => requestAnimationFrame(() => this.placeCredit()));
    this.resized.observe(element);
    this.restyle();
    this.layoutPanes();
    this.flushNow();
  }

  /** Show another series: what is drawn stays until the first of its candles are there. */
  show(series: ChartSeries): void {
    const { step, decimals } = this.series;
    const same = series.book === this.series.book;
    this.series = series;
    if (series.step !== step) this.chart.timeScale().applyOptions({ secondsVisible: series.step < 60_000 });
    if (series.decimals !== decimals) this.candles.applyOptions({ priceFormat: priceFormat(series.decimals) });
    this.lines.follow(series.indicators, series.decimals);
    if (!same) {
      this.awaiting = true;
      this.hovered = null;
      this.listen();
    }
    this.mark({ kind: 'all' });
    this.flushNow();
  }

  private listen(): void {
    for (const stop of this.unsubscribe) stop();
    this.unsubscribe = [
      this.series.book.subscribe((change) => this.mark(change)),
      this.series.indicators.subscribe(() => {
        this.linesDirty = true;
        frames.request(this.flush);
      }),
    ];
  }

  dispose(): void {
    this.dead = true;
    this.resized.disconnect();
    for (const stop of this.unsubscribe) stop();
    this.chart.remove();
  }

  setGaps(gaps: readonly Gap[]): void {
    this.gaps = gaps;
    if (!this.awaiting) this.drawDecor();
  }

  /** Colours again from the tokens, after a change of theme. */
  restyle(): void {
    this.chart.applyOptions({
      layout: {
        background: { type: ColorType.Solid, color: token('panel') },
        textColor: token('t3'),
        fontSize: 12 * remScale(),
        panes: { separatorColor: token('line'), separatorHoverColor: tokenAlpha('line2', 0.4) },
      },
      grid: { vertLines: { color: tokenAlpha('line', 0.75) }, horzLines: { color: tokenAlpha('line', 0.75) } },
      crosshair: {
        vertLine: { color: token('line2'), labelBackgroundColor: token('over'), style: LineStyle.Dashed, width: 1 },
        horzLine: { color: token('line2'), labelBackgroundColor: token('over'), style: LineStyle.Dashed, width: 1 },
      },
    });
    this.candles.applyOptions({
      upColor: token('panel'),
      borderUpColor: token('up'),
      wickUpColor: token('up'),
      downColor: token('down'),
      borderDownColor: token('down'),
      wickDownColor: token('down'),
      priceLineColor: token('wax'),
      priceLineStyle: LineStyle.Dotted,
    });
    this.mark({ kind: 'all' });
    this.lines.restyle();
  }

  /** Move by bars (negative = into the past). */
  pan(bars: number): void {
    const scale = this.chart.timeScale();
    scale.scrollToPosition(scale.scrollPosition() + bars, false);
  }

  zoom(factor: number): void {
    const scale = this.chart.timeScale();
    const spacing = scale.options().barSpacing;
    scale.applyOptions({ barSpacing: Math.max(0.6, Math.min(40, spacing * factor)) });
  }

  toNewest(): void {
    this.chart.timeScale().scrollToRealTime();
  }

  toOldest(): void {
    const span = this.chart.timeScale().getVisibleLogicalRange();
    if (span) this.chart.timeScale().setVisibleLogicalRange({ from: 0, to: span.to - span.from });
  }

  private decorate(pane: number, title: string): void {
    const decor = new PaneDecor(pane === 0, title);
    this.chart.panes()[pane]?.attachPrimitive(decor);
    this.decors[pane] = decor;
  }

  private readonly onRange = (range: LogicalRange | null): void => {
    if (range && range.from < LOOK_AHEAD && this.series.book.candles.length > 0 && !this.awaiting)
      this.options.onNeedOlder();
  };

  private readonly onCrosshair = (event: MouseEventParams): void => {
    const time = event.time === undefined ? null : Number(event.time) * 1000;
    if (time === this.hovered) return;
    this.hovered = time;
    this.read();
  };

  private mark(change: BookChange): void {
    if (this.change?.kind === 'all' || change.kind === 'all') this.change = { kind: 'all' };
    else this.change = { kind: 'tail', from: Math.min(change.from, this.change?.from ?? change.from) };
    frames.request(this.flush);
  }

  private flushNow(): void {
    if (this.dead || (this.awaiting && this.series.book.candles.length === 0)) return;
    const arrived = this.awaiting;
    const change: BookChange | null = arrived ? { kind: 'all' } : this.change;
    this.change = null;
    this.awaiting = false;
    if (change) {
      if (change.kind === 'all' || !this.drawTail(change.from)) this.drawAll();
    }
    if (this.linesDirty || change?.kind === 'all') {
      this.linesDirty = false;
      if (this.lines.draw(this.slots)) this.layoutPanes();
    }
    if (arrived) {
      this.candles.priceScale().applyOptions({ autoScale: true });
      this.chart.timeScale().scrollToPosition(RIGHT_OFFSET, false);
    }
    if (this.factsDirty) this.drawDecor();
    if (change) this.read();
  }

  private drawAll(): void {
    const { slots, holes } = withWhitespace(this.series.book.candles, this.series.step);
    this.slots = slots;
    this.holes = holes;
    this.factsDirty = true;
    const bars: (CandlestickData | WhitespaceData)[] = [];
    const volumes: (HistogramData | WhitespaceData)[] = [];
    for (const { time, candle } of slots) {
      bars.push(candle ? this.bar(candle) : { time: toChartTime(time) });
      volumes.push(candle ? this.volumeBar(candle) : { time: toChartTime(time) });
    }
    this.candles.setData(bars);
    this.volume.setData(volumes);
  }

  /** Update only the newest bars; false when that cannot be right (a hole opened, or too much changed). */
  private drawTail(from: number): boolean {
    const rows = this.series.book.candles;
    if (rows.length - from > 4 || this.slots.length === 0) return false;
    for (let i = Math.max(from, 0); i < rows.length; i += 1) {
      const candle = rows[i] as Candle;
      // The open bar grows many times a second; only what closes or is mended can change the known faults.
      if (candle.final || candle.origin === 'repaired') this.factsDirty = true;
      const newest = (this.slots[this.slots.length - 1] as Slot).time;
      if (candle.open_time > newest) {
        if (candle.open_time - newest > this.series.step) return false;
        this.slots.push({ time: candle.open_time, candle });
      } else {
        const at = this.slots.length - 1 - Math.round((newest - candle.open_time) / this.series.step);
        const slot = this.slots[at];
        if (slot?.time !== candle.open_time) return false;
        slot.candle = candle;
      }
      const historical = candle.open_time < (this.slots[this.slots.length - 1] as Slot).time;
      this.candles.update(this.bar(candle), historical);
      this.volume.update(this.volumeBar(candle), historical);
    }
    return true;
  }

  private bar(candle: Candle): CandlestickData {
    const { open, high, low, close, final } = candle;
    const base = { time: toChartTime(candle.open_time), open, high, low, close };
    if (final) return base;
    // Provisional: the same shape, dimmed.
    const colour = tokenAlpha(close >= open ? 'up' : 'down', 0.6);
    return {
      ...base,
      color: close >= open ? token('panel') : tokenAlpha('down', 0.4),
      borderColor: colour,
      wickColor: colour,
    };
  }

  private volumeBar(candle: Candle): HistogramData {
    const alpha = candle.final ? 0.55 : 0.3;
    const color = tokenAlpha(candle.close >= candle.open ? 'up' : 'down', alpha);
    return { time: toChartTime(candle.open_time), value: candle.volume, color };
  }

  private layoutPanes(): void {
    const panes = this.chart.panes();
    panes.forEach((pane, i) => {
      pane.setStretchFactor(i === 0 ? 68 : i === 1 ? 12 : 14);
    });
    requestAnimationFrame(() => this.placeCredit());
  }

  /** The credit sits in the corner of the price pane, wherever the panes below it end. */
  private placeCredit(): void {
    if (this.dead) return;
    const below = this.element.clientHeight - this.chart.paneSize(0).height;
    this.element.parentElement?.style.setProperty('--credit-bottom', `${below + 14}px`);
  }

  private drawDecor(): void {
    this.factsDirty = false;
    const holes = labelHoles(this.holes, this.gaps, this.series.step);
    const { key, book } = this.series;
    const repaired = repairedTimes(book.candles);
    const gapped = gappedTimes(book.candles);
    for (const decor of this.decors) decor.set({ holes, repaired, gapped });
    this.options.onFacts({
      series: key,
      bars: book.candles.length,
      holes,
      repaired: repaired.length,
      gapped: gapped.length,
    });
  }

  private read(): void {
    const candle = (this.hovered === null ? this.series.book.last : this.series.book.at(this.hovered)) ?? null;
    this.options.onReading({ candle, lines: this.lines.read(candle?.open_time) });
  }
}
