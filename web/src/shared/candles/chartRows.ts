import type { Candle, Gap } from '../api/types';
import { formatDuration } from '../format/time';

/** One place on the time axis: a candle, or a whitespace bar where none is known. Times are open times in ms. */
export interface Slot {
  time: number;
  candle: Candle | null;
}

/** A run of missing bars; drawn hatched over its true width. `end` is the open time of the last missing bar. */
export interface Hole {
  start: number;
  end: number;
  bars: number;
}

export interface LabelledHole extends Hole {
  title: string;
  detail: string;
  /** A ledger entry that closed the question (a halt, verified empty) is calm; anything else wants a look. */
  settled: boolean;
}

/** More whitespace bars than this in one hole would only cost memory; the label still tells its true length. */
const MAX_HOLE_BARS = 20_000;

/** Candles with whitespace bars in between, so that a gap keeps its true width on the axis. */
export function withWhitespace(candles: readonly Candle[], step: number): { slots: Slot[]; holes: Hole[] } {
  const slots: Slot[] = [];
  const holes: Hole[] = [];
  let previous: Candle | undefined;
  for (const candle of candles) {
    if (previous && candle.open_time - previous.open_time > step) {
      const start = previous.open_time + step;
      const bars = Math.round((candle.open_time - start) / step);
      if (bars > 0) {
        holes.push({ start, end: candle.open_time - step, bars });
        for (let i = Math.max(0, bars - MAX_HOLE_BARS); i < bars; i += 1) {
          slots.push({ time: start + i * step, candle: null });
        }
      }
    }
    slots.push({ time: candle.open_time, candle });
    previous = candle;
  }
  return { slots, holes };
}

const REASON: Record<string, string> = {
  venue_halt: 'Venue halted',
  silence: 'Feed silent',
  missing_ids: 'Trades missing',
  disconnect: 'Disconnected',
  no_data: 'No data',
  joined_late: 'Joined late',
  downtime: 'Not running',
};

/** A reason this page has no words for yet is shown as the ledger writes it. */
function reasonWords(reason: string): string {
  const plain = reason.replaceAll('_', ' ');
  return REASON[reason] ?? `${plain.charAt(0).toUpperCase()}${plain.slice(1)}`;
}

function proof(gap: Gap): string {
  if (gap.state === 'verified_empty') return '0 trades, verified';
  if (gap.state === 'repaired') return 'repaired';
  const missing = gap.trades_missing === null ? '' : `${gap.trades_missing} trades `;
  return gap.state === 'lost' ? `${missing}lost` : `${missing}being fetched`;
}

/** What the gap ledger says of one gap, in words: title and proof. */
export function describeGap(gap: Gap): { title: string; detail: string; settled: boolean } {
  return {
    title: `${reasonWords(gap.reason)} ${formatDuration(gap.end - gap.start)}`,
    detail: proof(gap),
    settled: gap.state === 'verified_empty' || gap.state === 'repaired',
  };
}

/** Label holes from the ledger: the entry that overlaps most names it; without one, the hole says just that. */
export function labelHoles(holes: readonly Hole[], gaps: readonly Gap[], step: number): LabelledHole[] {
  return holes.map((hole) => {
    const end = hole.end + step;
    let best: Gap | undefined;
    let most = 0;
    for (const gap of gaps) {
      const overlap = Math.min(end, gap.end) - Math.max(hole.start, gap.start);
      if (overlap > most) {
        most = overlap;
        best = gap;
      }
    }
    if (!best) {
      return {
        ...hole,
        title: `No candles ${formatDuration(end - hole.start)}`,
        detail: 'not in the gap ledger',
        settled: false,
      };
    }
    return { ...hole, ...describeGap(best) };
  });
}

/** Times of candles that were fetched again after a loss. */
export function repairedTimes(candles: readonly Candle[]): number[] {
  return candles.filter((candle) => candle.origin === 'repaired').map((candle) => candle.open_time);
}

/** Times of candles, the open one among them, that are known to lack trades. */
export function gappedTimes(candles: readonly Candle[]): number[] {
  return candles.filter((candle) => candle.quality === 'gapped').map((candle) => candle.open_time);
}
