import {
  type IChartApi,
  type ISeriesApi,
  LineStyle,
  type SeriesPartialOptions,
  type Time,
  type WhitespaceData,
} from 'lightweight-charts';
import type { Slot } from '../../candles/chartRows';
import type { IndicatorBook, IndicatorLine } from '../../candles/indicatorBook';
import { formatPrice } from '../../format/numbers';
import { token, tokenAlpha } from '../../theme/look';
import { BrokenLine, type BrokenLineOptions, type LinePoint } from './brokenLine';
import { toChartTime } from './paneDecor';

type LineApi = ISeriesApi<
  'Custom',
  Time,
  LinePoint | WhitespaceData<Time>,
  BrokenLineOptions,
  SeriesPartialOptions<BrokenLineOptions>
>;
const LINE_COLOURS = ['wax', 'series-4', 'series-5', 'series-3', 'series-2', 'series-6'];

/** Token of each drawn line, in the order of the indicators; VWAP and bands keep a quiet colour of their own. */
export function lineColours(ids: readonly string[]): Map<string, string> {
  const colours = new Map<string, string>();
  let next = 0;
  for (const id of ids) {
    if (id.startsWith('vwap') || id.startsWith('rsi')) colours.set(id, id.startsWith('rsi') ? 't2' : 't3');
    else if (id.startsWith('bollinger')) colours.set(id, 'series-6');
    else {
      colours.set(id, LINE_COLOURS[next % LINE_COLOURS.length] as string);
      next += 1;
    }
  }
  return colours;
}

export interface ChartLinesOptions {
  decimals: number;
  /** A line opened a pane of its own below the others. */
  onPane(pane: number, title: string): void;
  /** That pane left with its line; those below moved up. */
  onPaneGone(pane: number): void;
}

/** The indicator lines of one chart: overlays on the candles, and lines with a pane of their own. */
export class ChartLines {
  private readonly drawn = new Map<string, LineApi>();

  constructor(
    private readonly chart: IChartApi,
    private indicators: IndicatorBook,
    private readonly options: ChartLinesOptions,
  ) {}

  /** From now on the lines of another series; those it will have too keep their place until their values come. */
  follow(indicators: IndicatorBook, decimals: number): void {
    this.indicators = indicators;
    if (decimals === this.options.decimals) return;
    this.options.decimals = decimals;
    for (const series of this.drawn.values()) {
      if (series.getPane().paneIndex() === 0) series.applyOptions({ priceFormat: this.priceFormat() });
    }
  }

  private priceFormat() {
    const { decimals } = this.options;
    return { type: 'custom' as const, minMove: 10 ** -decimals, formatter: (p: number) => formatPrice(p, decimals) };
  }

  /** Lines to draw: one per value output; the three of a band become one. */
  private wanted(): IndicatorLine[] {
    return this.indicators.all.filter((line) => line.output !== 'upper' && line.output !== 'lower');
  }

  /** Draw every line over these slots; true when lines came or went, so that panes may have too. */
  draw(slots: readonly Slot[]): boolean {
    const wanted = this.wanted();
    const keys = new Set(wanted.map((line) => line.key));
    let changed = false;
    for (const [key, series] of this.drawn) {
      if (keys.has(key)) continue;
      if (this.indicators.awaits(key)) {
        series.setData([]);
        continue;
      }
      const pane = series.getPane().paneIndex();
      // The library drops a pane that this leaves empty.
      const panes = this.chart.panes().length;
      this.chart.removeSeries(series);
      if (this.chart.panes().length < panes) this.options.onPaneGone(pane);
      this.drawn.delete(key);
      changed = true;
    }
    const all = new Map(this.indicators.all.map((line) => [line.key, line]));
    for (const line of wanted) {
      let series = this.drawn.get(line.key);
      if (!series) {
        series = this.add(line);
        this.drawn.set(line.key, series);
        changed = true;
      }
      const upper = all.get(`${line.id}/upper`)?.values;
      const lower = all.get(`${line.id}/lower`)?.values;
      const points: (LinePoint | WhitespaceData)[] = [];
      for (const { time, candle } of slots) {
        const value = candle ? (line.values.get(time) ?? null) : null;
        if (value === null) {
          points.push({ time: toChartTime(time) });
          continue;
        }
        const point: LinePoint = { time: toChartTime(time), value };
        const top = upper?.get(time);
        const bottom = lower?.get(time);
        if (top != null && bottom != null) {
          point.upper = top;
          point.lower = bottom;
        }
        points.push(point);
      }
      series.setData(points);
    }
    if (changed) this.restyle();
    return changed;
  }

  /** Each line's value at that open time (ms), for the legend. */
  read(time: number | undefined): { key: string; value: number | null }[] {
    return this.wanted().map(({ key, values }) => {
      const value = time === undefined ? null : (values.get(time) ?? null);
      return { key, value };
    });
  }

  private add(line: IndicatorLine): LineApi {
    const own = line.pane === 'own';
    const pane = own ? this.chart.panes().length : 0;
    const series = this.chart.addCustomSeries(
      new BrokenLine(),
      {
        priceLineVisible: false,
        lastValueVisible: own,
        priceFormat: own ? { type: 'price', precision: 1, minMove: 0.1 } : this.priceFormat(),
        // Overlays follow the candles' scale; a far VWAP must not flatten them.
        ...(own ? {} : { autoscaleInfoProvider: () => null }),
      },
      pane,
    ) as LineApi;
    if (own) {
      this.options.onPane(pane, line.name);
      series.priceScale().applyOptions({ scaleMargins: { top: 0.28, bottom: 0.08 } });
      for (const price of line.levels) {
        series.createPriceLine({
          price,
          color: token('line2'),
          lineStyle: LineStyle.Dotted,
          lineWidth: 1,
          axisLabelVisible: false,
        });
      }
    }
    return series;
  }

  /** Colours again from the tokens. */
  restyle(): void {
    const colours = lineColours([...new Set(this.wanted().map((line) => line.id))]);
    for (const line of this.wanted()) {
      const name = colours.get(line.id) ?? 'wax';
      this.drawn.get(line.key)?.applyOptions({
        color: token(name),
        fill: tokenAlpha(name, 0.07),
        dotted: line.id.startsWith('vwap'),
        lineWidth: line.id.startsWith('bollinger') ? 1 : 1.5,
      });
    }
  }
}
