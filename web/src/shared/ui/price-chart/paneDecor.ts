import type {
  IPanePrimitive,
  IPanePrimitivePaneView,
  IPrimitivePaneRenderer,
  PaneAttachedParameter,
  Time,
  UTCTimestamp,
} from 'lightweight-charts';
import type { LabelledHole } from '../../candles/chartRows';
import { remScale, token, tokenAlpha } from '../../theme/look';

type Target = Parameters<IPrimitivePaneRenderer['draw']>[0];

export const toChartTime = (ms: number): UTCTimestamp => (ms / 1000) as UTCTimestamp;

export interface Decor {
  holes: readonly LabelledHole[];
  repaired: readonly number[];
  gapped: readonly number[];
}

const EMPTY: Decor = { holes: [], repaired: [], gapped: [] };
const CHIP_TOP = 44;

/** Draws what is known about missing and mended data: hatched holes with their ledger label, marks under candles. */
export class PaneDecor implements IPanePrimitive<Time> {
  private chart: PaneAttachedParameter<Time>['chart'] | null = null;
  private redraw: (() => void) | null = null;
  private decor: Decor = EMPTY;
  private rem = remScale();
  private readonly views: readonly IPanePrimitivePaneView[];

  constructor(
    private readonly main: boolean,
    private title: string,
  ) {
    this.views = [
      { zOrder: () => 'bottom', renderer: () => ({ draw: (target) => this.drawHoles(target) }) },
      { zOrder: () => 'top', renderer: () => ({ draw: (target) => this.drawWords(target) }) },
    ];
  }

  attached({ chart, requestUpdate }: PaneAttachedParameter<Time>): void {
    this.chart = chart;
    this.redraw = requestUpdate;
  }

  detached(): void {
    this.chart = null;
    this.redraw = null;
  }

  paneViews(): readonly IPanePrimitivePaneView[] {
    return this.views;
  }

  set(decor: Decor, title = this.title): void {
    this.decor = decor;
    this.rem = remScale();
    this.title = title;
    this.redraw?.();
  }

  /** Left and right edge of a run of bars, in CSS pixels; null when its times are not on the scale. */
  private edges(start: number, end: number): [number, number] | null {
    const scale = this.chart?.timeScale();
    const left = scale?.timeToCoordinate(toChartTime(start));
    const right = scale?.timeToCoordinate(toChartTime(end));
    if (!scale || left === null || left === undefined || right === null || right === undefined) return null;
    const half = scale.options().barSpacing / 2;
    return [left - half, right + half];
  }

  private drawHoles(target: Target): void {
    target.useMediaCoordinateSpace(({ context: ctx, mediaSize: { width, height } }) => {
      for (const hole of this.decor.holes) {
        const edges = this.edges(hole.start, hole.end);
        if (!edges || edges[1] < 0 || edges[0] > width) continue;
        const left = Math.max(-20, Math.round(edges[0]));
        const right = Math.min(width + 20, Math.round(edges[1]));
        ctx.save();
        ctx.beginPath();
        ctx.rect(left, 0, right - left, height);
        ctx.clip();
        ctx.fillStyle = tokenAlpha('raised', 0.5);
        ctx.fillRect(left, 0, right - left, height);
        ctx.strokeStyle = tokenAlpha('line2', 0.5);
        ctx.lineWidth = 1;
        ctx.beginPath();
        // The lines hang on the hole's own edge, so that the pattern moves with the chart and meets across panes.
        const origin = edges[0];
        for (let x = origin - height; x < right; x += 8) {
          if (x + height < left) continue;
          ctx.moveTo(x, height);
          ctx.lineTo(x + height, 0);
        }
        ctx.stroke();
        ctx.restore();
        ctx.fillStyle = tokenAlpha('line2', 0.9);
        ctx.fillRect(left, 0, 1, height);
        ctx.fillRect(right - 1, 0, 1, height);
      }
      if (this.main) this.drawMarks(ctx, height);
    });
  }

  private drawMarks(ctx: CanvasRenderingContext2D, height: number): void {
    const scale = this.chart?.timeScale();
    if (!scale) return;
    const spacing = scale.options().barSpacing;
    ctx.fillStyle = token('warn');
    ctx.strokeStyle = token('warn');
    const wide = Math.max(1.5, Math.min(6, spacing * 0.7));
    for (const time of this.decor.repaired) {
      const x = scale.timeToCoordinate(toChartTime(time));
      if (x !== null) ctx.fillRect(x - wide / 2, height - 9, wide, 4);
    }
    ctx.lineWidth = 1.25;
    for (const time of this.decor.gapped) {
      const x = scale.timeToCoordinate(toChartTime(time));
      if (x === null) continue;
      ctx.beginPath();
      ctx.moveTo(x, height - 11);
      ctx.lineTo(x + 4, height - 7);
      ctx.lineTo(x, height - 3);
      ctx.lineTo(x - 4, height - 7);
      ctx.closePath();
      ctx.stroke();
    }
  }

  private drawWords(target: Target): void {
    target.useMediaCoordinateSpace(({ context: ctx, mediaSize: { width } }) => {
      const { rem } = this;
      ctx.textBaseline = 'middle';
      if (this.title) {
        ctx.font = `400 ${12 * rem}px Geist, system-ui, sans-serif`;
        ctx.fillStyle = token('t2');
        ctx.fillText(this.title, 12, 13 * rem);
      }
      if (!this.main) return;
      // The widest holes speak first; a label that would cover another stays unsaid (the list below the chart has all).
      const drawn: [number, number][] = [];
      const widest = [...this.decor.holes].sort((a, b) => b.bars - a.bars);
      for (const hole of widest) {
        const edges = this.edges(hole.start, hole.end);
        if (!edges || edges[1] < 4 || edges[0] > width - 4) continue;
        const box = this.chip(ctx, hole, edges, width, rem, drawn);
        if (box) drawn.push(box);
      }
    });
  }

  private chip(
    ctx: CanvasRenderingContext2D,
    hole: LabelledHole,
    [left, right]: [number, number],
    width: number,
    rem: number,
    drawn: readonly [number, number][],
  ): [number, number] | null {
    const bold = `500 ${11.5 * rem}px Geist, system-ui, sans-serif`;
    const plain = `400 ${11.5 * rem}px Geist, system-ui, sans-serif`;
    ctx.font = bold;
    const titleWidth = ctx.measureText(hole.title).width;
    ctx.font = plain;
    const short = width < 420;
    const tail = short ? '' : ` · ${hole.detail}`;
    const tailWidth = ctx.measureText(tail).width;
    const w = titleWidth + tailWidth + 16;
    const h = 20 * rem;
    const centre = (Math.max(left, 0) + Math.min(right, width)) / 2;
    const x = Math.max(8, Math.min(width - w - 8, centre - w / 2));
    if (drawn.some(([from, to]) => x < to + 6 && x + w > from - 6)) return null;
    const y = CHIP_TOP * rem;
    ctx.beginPath();
    ctx.roundRect(x, y, w, h, 5);
    ctx.fillStyle = token('panel');
    ctx.fill();
    ctx.strokeStyle = token(hole.settled ? 'ctl' : 'warn');
    ctx.lineWidth = 1;
    ctx.stroke();
    ctx.font = bold;
    ctx.fillStyle = token(hole.settled ? 't1' : 'warn');
    ctx.fillText(hole.title, x + 8, y + h / 2 + 0.5);
    ctx.font = plain;
    ctx.fillStyle = token('t2');
    ctx.fillText(tail, x + 8 + titleWidth, y + h / 2 + 0.5);
    return [x, x + w];
  }
}
