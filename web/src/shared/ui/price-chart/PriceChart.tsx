import { type KeyboardEvent, useEffect, useRef, useState } from 'react';
import type { Candle, Gap } from '../../api/types';
import type { CandleBook } from '../../candles/candleBook';
import type { IndicatorBook } from '../../candles/indicatorBook';
import { lackingCandles, repairedCandles } from '../../format/market';
import { decimalsOf, formatPrice, formatSize } from '../../format/numbers';
import { onLookChange } from '../../theme/look';
import { CandleTable } from './CandleTable';
import { lineColours } from './chartLines';
import { type ChartSeries, ChartView, type Facts, type Reading } from './chartView';
import styles from './PriceChart.module.css';

export interface PriceChartProps {
  label: string;
  /** Which series the book is of. */
  series: string;
  book: CandleBook;
  indicators: IndicatorBook;
  indicatorIds: readonly string[];
  gaps: readonly Gap[];
  /** Length of one bar in ms. */
  step: number;
  priceTick: string;
  asTable?: boolean;
  onNeedOlder(): void;
  onFacts?(facts: Facts): void;
}

const PARTS = ['open', 'high', 'low', 'close'] as const;

/** Candles, volume and served indicators, with every known fault of the data drawn in its place. */
export function PriceChart(props: PriceChartProps) {
  const { label, series, book, indicators, indicatorIds, gaps, step, priceTick, asTable = false } = props;
  const box = useRef<HTMLDivElement>(null);
  const view = useRef<ChartView | null>(null);
  const legend = useRef<HTMLDivElement>(null);
  const callbacks = useRef(props);
  callbacks.current = props;
  const decimals = decimalsOf(priceTick);
  const [facts, setFacts] = useState<Facts | null>(null);
  const shownSeries: ChartSeries = { key: series, book, indicators, step, decimals };
  const shownIn = useRef<ChartView | null>(null);
  const latest = useRef(shownSeries);
  latest.current = shownSeries;

  // One canvas for the whole life of the panel: another series is given to it below.
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    let shown = '';
    const made = new ChartView(element, latest.current, {
      onNeedOlder: () => callbacks.current.onNeedOlder(),
      onReading: (reading) => writeLegend(legend.current, reading, latest.current.decimals, element),
      onFacts: (next) => {
        // A tick redraws the canvas; React hears only when the facts differ.
        const key = `${next.series}|${next.repaired}|${next.gapped}|${next.holes.map((h) => `${h.start}${h.title}${h.detail}`).join()}`;
        element.dataset.bars = String(next.bars);
        element.dataset.series = next.series;
        if (key === shown) return;
        shown = key;
        setFacts(next);
        callbacks.current.onFacts?.(next);
      },
    });
    view.current = made;
    const stop = onLookChange(() => made.restyle());
    return () => {
      stop();
      view.current = null;
      made.dispose();
    };
  }, []);

  useEffect(() => {
    const before = shownIn.current;
    shownIn.current = view.current;
    // A view that was just made shows this series already.
    if (before === view.current) view.current?.show({ key: series, book, indicators, step, decimals });
  }, [series, book, indicators, step, decimals]);

  useEffect(() => {
    view.current?.setGaps(gaps);
  }, [gaps]);

  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const act: Record<string, () => void> = {
      ArrowLeft: () => view.current?.pan(event.shiftKey ? -50 : -5),
      ArrowRight: () => view.current?.pan(event.shiftKey ? 50 : 5),
      '+': () => view.current?.zoom(1.25),
      '=': () => view.current?.zoom(1.25),
      '-': () => view.current?.zoom(0.8),
      Home: () => view.current?.toOldest(),
      End: () => view.current?.toNewest(),
    };
    const run = act[event.key];
    if (!run) return;
    event.preventDefault();
    run();
  };

  const colours = lineColours(indicatorIds);
  return (
    <div className={styles.frame}>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: the chart pans and zooms by keys, so it must take focus */}
      <section className={styles.chart} aria-label={label} tabIndex={0} onKeyDown={onKeyDown} hidden={asTable}>
        <div
          ref={box}
          className={styles.canvas}
          data-testid="price-chart"
          data-holes={facts?.holes.length ?? 0}
          data-repaired={facts?.repaired ?? 0}
        />
        <div ref={legend} className={styles.legend} aria-hidden="true">
          <span className={styles.ohlc}>
            {PARTS.map((part) => (
              <span key={part}>
                <b>{part[0]?.toUpperCase()}</b> <span data-part={part} className={styles.price} />
              </span>
            ))}
            <span className={styles.wide}>
              <b>V</b> <span data-part="volume" className={styles.price} />
            </span>
          </span>
          {indicatorIds.filter(overlays).map((id) => (
            <span key={id} className={styles.series} data-line={id}>
              <i style={{ background: `var(--${colours.get(id) ?? 'wax'})` }} />
              {indicatorName(id)}
            </span>
          ))}
        </div>
        <a className={styles.credit} href="https://www.tradingview.com/" target="_blank" rel="noreferrer noopener">
          Charts by TradingView
        </a>
      </section>
      {asTable ? <CandleTable label={label} book={book} decimals={decimals} /> : null}
      <ul className="sr-only" aria-label="Known faults in this chart">
        {facts?.holes.map((hole) => (
          <li key={hole.start}>{`${hole.title}, ${hole.detail}`}</li>
        ))}
        {facts && facts.repaired > 0 ? <li>{repairedCandles(facts.repaired)}</li> : null}
        {facts && facts.gapped > 0 ? <li>{lackingCandles(facts.gapped)}</li> : null}
      </ul>
    </div>
  );
}

/** Lines with a pane of their own carry their name there. */
function overlays(id: string): boolean {
  return !id.startsWith('rsi');
}

/** "ema:21" as people say it: EMA 21. */
export function indicatorName(id: string): string {
  const [name = '', ...params] = id.split(':');
  const title = name === 'bollinger' ? 'Bollinger' : name.toUpperCase();
  return [title, ...params].join(' ');
}

function writeLegend(root: HTMLElement | null, reading: Reading, decimals: number, chart: HTMLElement): void {
  const candle: Candle | null = reading.candle;
  if (candle) {
    chart.dataset.lastClose = String(candle.close);
    chart.dataset.lastOpenTime = String(candle.open_time);
  }
  for (const span of root?.querySelectorAll<HTMLElement>('[data-part]') ?? []) {
    const part = span.dataset.part as (typeof PARTS)[number] | 'volume';
    let text = '–';
    if (candle) text = part === 'volume' ? formatSize(candle.volume) : formatPrice(candle[part], decimals);
    // The same words written again would be laid out again; most parts of the open bar rest while one moves.
    if (span.textContent !== text) span.textContent = text;
  }
}
