import type {
  CustomData,
  CustomSeriesOptions,
  CustomSeriesPricePlotValues,
  CustomSeriesWhitespaceData,
  ICustomSeriesPaneRenderer,
  ICustomSeriesPaneView,
  PaneRendererCustomData,
  Time,
} from 'lightweight-charts';
import { customSeriesDefaultOptions } from 'lightweight-charts';

/** A line point; `upper` and `lower` make it a band around `value`. */
export interface LinePoint extends CustomData<Time> {
  value: number;
  upper?: number;
  lower?: number;
}

export interface BrokenLineOptions extends CustomSeriesOptions {
  lineWidth: number;
  dotted: boolean;
  fill: string;
}

type Target = Parameters<ICustomSeriesPaneRenderer['draw']>[0];

/**
 * A line that ends at a gap and starts anew behind it. The library's own line joins the two ends across
 * whitespace, which would draw prices that never were.
 */
export class BrokenLine implements ICustomSeriesPaneView<Time, LinePoint, BrokenLineOptions> {
  private data: PaneRendererCustomData<Time, LinePoint> | null = null;
  private options: BrokenLineOptions = this.defaultOptions();

  renderer(): ICustomSeriesPaneRenderer {
    return { draw: (target, toY) => this.draw(target, toY) };
  }

  update(data: PaneRendererCustomData<Time, LinePoint>, options: BrokenLineOptions): void {
    this.data = data;
    this.options = options;
  }

  priceValueBuilder(point: LinePoint): CustomSeriesPricePlotValues {
    return [point.lower ?? point.value, point.upper ?? point.value, point.value];
  }

  isWhitespace(point: LinePoint | CustomSeriesWhitespaceData<Time>): point is CustomSeriesWhitespaceData<Time> {
    return (point as Partial<LinePoint>).value === undefined;
  }

  defaultOptions(): BrokenLineOptions {
    return { ...customSeriesDefaultOptions, lineWidth: 1.5, dotted: false, fill: '' };
  }

  private draw(target: Target, toY: (price: number) => number | null): void {
    const { data, options } = this;
    if (!data?.visibleRange) return;
    const { from, to } = data.visibleRange;
    const bars = data.bars.slice(Math.max(0, from - 1), to + 1);
    // Whitespace is not among the bars: a jump of the logical index is a break.
    const runs: (typeof bars)[] = [];
    let start = 0;
    for (let i = 1; i <= bars.length; i += 1) {
      const here = bars[i];
      const before = bars[i - 1];
      if (here && before && here.time - before.time <= data.conflationFactor) continue;
      runs.push(bars.slice(start, i));
      start = i;
    }
    target.useMediaCoordinateSpace(({ context: ctx }) => {
      ctx.lineWidth = options.lineWidth;
      ctx.lineJoin = 'round';
      ctx.strokeStyle = options.color;
      for (const run of runs) {
        const trace = (pick: (point: LinePoint) => number | undefined, reverse = false): void => {
          for (const bar of reverse ? [...run].reverse() : run) {
            const price = pick(bar.originalData);
            const y = price === undefined ? null : toY(price);
            if (y !== null) ctx.lineTo(bar.x, y);
          }
        };
        if (run[0]?.originalData.upper !== undefined) {
          ctx.beginPath();
          trace((p) => p.upper);
          trace((p) => p.lower, true);
          ctx.closePath();
          ctx.fillStyle = options.fill;
          ctx.fill();
          for (const edge of ['upper', 'lower'] as const) {
            ctx.beginPath();
            trace((p) => p[edge]);
            ctx.stroke();
          }
          ctx.setLineDash([3, 3]);
        } else if (options.dotted) ctx.setLineDash([1.5, 2.5]);
        ctx.beginPath();
        trace((p) => p.value);
        ctx.stroke();
        ctx.setLineDash([]);
      }
    });
  }
}
