import { useQuery, useQueryClient } from '@tanstack/react-query';
import { ChevronDown, Table2 } from 'lucide-react';
import { Popover } from 'radix-ui';
import { type ReactNode, useEffect, useState } from 'react';
import { gapsQuery, qualityQuery, symbolsQuery } from '../api/queries';
import { MAIN_TIMEFRAMES, splitSymbol, TIMEFRAMES, type Timeframe, timeframeMs, venueName } from '../format/market';
import { decimalsOf, formatCompact, formatPercent, formatPrice } from '../format/numbers';
import { formatDuration } from '../format/time';
import { useKeys } from '../keys/keys';
import { Button } from '../ui/Button';
import { Freshness } from '../ui/Freshness';
import { NumberCell } from '../ui/NumberCell';
import { Panel, type PanelState, repairedLabel } from '../ui/Panel';
import type { Facts } from '../ui/price-chart/chartView';
import { PriceChart } from '../ui/price-chart/PriceChart';
import { QualityBadge } from '../ui/QualityBadge';
import { Segmented } from '../ui/Segmented';
import { DataFacts } from './DataFacts';
import { IndicatorMenu } from './IndicatorMenu';
import styles from './MarketChart.module.css';
import { usePlatformNow } from './platformClock';
import { askAhead } from './seriesFeed';
import { useStaleAge } from './staleness';
import { useTick } from './tickFeed';
import { useSeries } from './useSeries';

export interface MarketChartProps {
  exchange: string;
  symbol: string;
  timeframe: Timeframe;
  indicators: readonly string[];
  onTimeframe(timeframe: Timeframe): void;
  onIndicators(ids: string[]): void;
  /** Only one chart of a screen answers the keys 1-6 and I. */
  keys?: boolean;
  /** More controls at the right end of the tool row. */
  tools?: ReactNode;
  /** Side chart: a smaller head. */
  compact?: boolean;
}

/** Pages of other timeframes are asked for this long after the first candles, one in each interval. */
const AHEAD_AFTER_MS = 600;
const AHEAD_APART_MS = 120;

/** The first history of the ledger that concerns any loaded bar: 400 days are more than a view can hold. */
const LEDGER_MS = 400 * 86_400_000;

/** One market's chart with its head, tools and the state of its data. */
export function MarketChart(props: MarketChartProps) {
  const {
    exchange,
    symbol,
    timeframe,
    indicators,
    onTimeframe,
    onIndicators,
    keys = true,
    tools,
    compact = false,
  } = props;
  const client = useQueryClient();
  const { feed, state } = useSeries(exchange, symbol, timeframe, indicators);
  const [asTable, setAsTable] = useState(false);
  const [facts, setFacts] = useState<Facts | null>(null);
  const [menuOpen, setMenuOpen] = useState(false);
  const info = useQuery(symbolsQuery()).data?.find((s) => s.symbol === symbol && s.exchange === exchange);
  const since = Math.floor((Date.now() - LEDGER_MS) / 86_400_000) * 86_400_000;
  const gaps = useQuery(gapsQuery({ exchange, symbol }, since)).data ?? [];
  const step = timeframeMs(timeframe);
  useKeys(
    keys
      ? {
          ...Object.fromEntries(MAIN_TIMEFRAMES.map((tf, i) => [String(i + 1), () => choose(tf)])),
          i: () => setMenuOpen(true),
        }
      : {},
  );
  const askFor = (next: Timeframe): void => askAhead(client, { exchange, symbol, timeframe: next });
  const choose = (next: Timeframe): void => {
    askFor(next);
    onTimeframe(next);
  };
  useAskedAhead(state.phase === 'ready' && keys, exchange, symbol, timeframe);
  const panel = withFacts(usePanelState(state, feed.book.last?.open_time ?? 0, step, feed), facts);
  const main = MAIN_TIMEFRAMES.includes(timeframe) ? MAIN_TIMEFRAMES : [...MAIN_TIMEFRAMES, timeframe];
  return (
    <Panel
      title={symbol}
      label={`Chart ${symbol}`}
      state={panel}
      className={styles.panel}
      holds
      head={
        <>
          <MarketHead
            exchange={exchange}
            symbol={symbol}
            priceTick={info?.price_tick ?? '0.01'}
            halted={info?.status === 'halted'}
            compact={compact}
          />
          <div className={styles.tools}>
            <Segmented
              label="Timeframe"
              value={timeframe}
              onChange={choose}
              onIntent={askFor}
              className={styles.timeframes}
              options={main.map((tf, i) => ({ value: tf, label: tf, hint: i < 6 ? `Key ${i + 1}` : '' }))}
            />
            <MoreTimeframes timeframe={timeframe} onTimeframe={choose} />
            <IndicatorMenu chosen={indicators} onChange={onIndicators} open={menuOpen} onOpenChange={setMenuOpen} />
            <div className={styles.right}>
              <DataFacts facts={facts} />
              <Button
                icon
                aria-pressed={asTable}
                aria-label="Show candles as a table"
                title="Candles as a table"
                onClick={() => setAsTable(!asTable)}
              >
                <Table2 aria-hidden="true" />
              </Button>
              {tools}
            </div>
          </div>
        </>
      }
    >
      <PriceChart
        series={`${exchange}:${symbol}:${timeframe}`}
        label={`${symbol} ${timeframe} candles; arrow keys move, plus and minus zoom`}
        book={feed.book}
        indicators={feed.indicators}
        indicatorIds={indicators}
        gaps={gaps}
        step={step}
        priceTick={info?.price_tick ?? '0.01'}
        asTable={asTable}
        onNeedOlder={() => void feed.loadOlder()}
        onFacts={setFacts}
      />
    </Panel>
  );
}

/** The other timeframes of the tool row are asked for once the chart stands and the page has nothing else to do. */
function useAskedAhead(ready: boolean, exchange: string, symbol: string, shown: Timeframe): void {
  const client = useQueryClient();
  useEffect(() => {
    if (!ready || typeof requestIdleCallback !== 'function' || savesData()) return;
    const rest = MAIN_TIMEFRAMES.filter((timeframe) => timeframe !== shown);
    let idle = 0;
    const next = (): void => {
      const timeframe = rest.shift();
      if (timeframe === undefined) return;
      askAhead(client, { exchange, symbol, timeframe });
      timer = setTimeout(wait, AHEAD_APART_MS);
    };
    const wait = (): void => {
      idle = requestIdleCallback(next, { timeout: 2000 });
    };
    let timer = setTimeout(wait, AHEAD_AFTER_MS);
    return () => {
      clearTimeout(timer);
      cancelIdleCallback(idle);
    };
  }, [ready, client, exchange, symbol, shown]);
}

/** The reader's browser asks pages to load no more than they show. */
function savesData(): boolean {
  return (navigator as { connection?: { saveData?: boolean } }).connection?.saveData === true;
}

function usePanelState(
  { phase, error, link }: ReturnType<typeof useSeries>['state'],
  lastOpen: number,
  step: number,
  feed: { retry(): void },
): PanelState {
  const now = usePlatformNow(1000);
  if (phase === 'error' && error) {
    return {
      kind: 'error',
      message: error.message,
      code: error.code,
      correlationId: error.correlationId,
      retry: () => feed.retry(),
    };
  }
  if (phase === 'loading') return { kind: 'loading' };
  if (phase === 'empty')
    return { kind: 'empty', message: 'No candles for this symbol yet. They appear with the first trade.' };
  if (link.kind === 'offline') return { kind: 'offline', asOf: lastOpen, retryAt: link.retryAt };
  // A bar is expected each step: older than three of them is not the present.
  const age = now - (lastOpen + step);
  if (now > 0 && age > Math.max(3 * step, 15_000)) return { kind: 'stale', ageMs: age, lastAt: lastOpen + step };
  return { kind: 'live' };
}

/** What is known to be missing or mended is a state of the panel too; the words stand beside the tools. */
function withFacts(state: PanelState, facts: Facts | null): PanelState {
  if (state.kind !== 'live' || !facts) return state;
  const hole = facts.holes.find((h) => !h.settled) ?? facts.holes[0];
  if (hole) return { kind: 'gap', label: `${hole.title}, ${hole.detail}`, settled: hole.settled };
  if (facts.repaired > 0) return { kind: 'repaired', label: repairedLabel(facts.repaired) };
  return state;
}

function MarketHead(props: { exchange: string; symbol: string; priceTick: string; halted: boolean; compact: boolean }) {
  const { exchange, symbol, priceTick, halted, compact } = props;
  const tick = useTick(exchange, symbol);
  const age = useStaleAge(tick);
  const quality = useQuery(qualityQuery({ exchange, symbol })).data;
  const [base, quote] = splitSymbol(symbol);
  const decimals = decimalsOf(priceTick);
  const change = tick?.change_pct_24h ?? null;
  return (
    <header className={styles.head} data-compact={compact} data-stale={age !== null}>
      <h2 className={styles.symbol}>
        {base}
        <span>/{quote}</span>
      </h2>
      <span className={styles.venue}>{venueName(exchange)}</span>
      <NumberCell
        className={styles.last}
        text={formatPrice(tick?.last, decimals)}
        value={tick?.last ?? null}
        chars={8}
      />
      {age !== null ? <Freshness ageMs={age} /> : null}
      {halted ? <span className={styles.venue}>halted by the venue</span> : null}
      <dl className={styles.stats}>
        <div>
          <dd data-tone={change === null ? 'none' : change >= 0 ? 'up' : 'down'}>{formatPercent(change)}</dd>
          <dt>24 h</dt>
        </div>
        <div className={styles.extra}>
          <dd>{formatPrice(tick?.high_24h, decimals)}</dd>
          <dt>high</dt>
        </div>
        <div className={styles.extra}>
          <dd>{formatPrice(tick?.low_24h, decimals)}</dd>
          <dt>low</dt>
        </div>
        <div className={styles.extra}>
          <dd>{formatCompact(tick?.quote_volume_24h)}</dd>
          <dt>volume</dt>
        </div>
      </dl>
      <div className={styles.badge}>{quality ? <QualityBadge quality={quality} /> : null}</div>
    </header>
  );
}

function MoreTimeframes({ timeframe, onTimeframe }: { timeframe: Timeframe; onTimeframe(timeframe: Timeframe): void }) {
  const [open, setOpen] = useState(false);
  const rest = TIMEFRAMES.filter((tf) => !MAIN_TIMEFRAMES.includes(tf));
  return (
    <Popover.Root open={open} onOpenChange={setOpen}>
      <Popover.Trigger asChild>
        <Button icon aria-label="More timeframes">
          <ChevronDown aria-hidden="true" />
        </Button>
      </Popover.Trigger>
      <Popover.Portal>
        <Popover.Content className={styles.menu ?? ''} sideOffset={6} align="start" aria-label="More timeframes">
          {rest.map((tf) => (
            <button
              key={tf}
              type="button"
              className={styles.menuItem}
              aria-pressed={tf === timeframe}
              onClick={() => {
                setOpen(false);
                onTimeframe(tf);
              }}
            >
              {tf}
              <span>{formatDuration(timeframeMs(tf))}</span>
            </button>
          ))}
        </Popover.Content>
      </Popover.Portal>
    </Popover.Root>
  );
}
