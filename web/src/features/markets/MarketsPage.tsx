import { BookOpen, List } from 'lucide-react';
import { useEffect, useState } from 'react';
import type { SymbolInfo } from '@/shared/api/types';
import { showSymbol, type Timeframe } from '@/shared/format/market';
import { MarketChart } from '@/shared/market/MarketChart';
import { rememberMarket } from '@/shared/market/recent';
import { Button } from '@/shared/ui/Button';
import { Drawer } from '@/shared/ui/Drawer';
import { Splitter } from '@/shared/ui/Splitter';
import { useMedia } from '@/shared/ui/useMedia';
import { useStoredNumber } from '@/shared/ui/useStored';
import { BookPanel } from './BookPanel';
import styles from './MarketsPage.module.css';
import { TradesPanel } from './TradesPanel';
import { Watchlist } from './Watchlist';

export interface MarketsPageProps {
  exchange: string;
  symbol: string;
  timeframe: Timeframe;
  indicators: readonly string[];
  onSymbol(exchange: string, symbol: string): void;
  onTimeframe(timeframe: Timeframe): void;
  onIndicators(ids: string[]): void;
  onOpenChart(exchange: string, symbol: string): void;
}

/** The second chart of wide screens shows the same market from further away. */
const FURTHER: Record<Timeframe, Timeframe> = {
  '1s': '1m',
  '1m': '15m',
  '3m': '30m',
  '5m': '1h',
  '15m': '4h',
  '30m': '4h',
  '1h': '1d',
  '4h': '1d',
  '1d': '1w',
  '1w': '1d',
};

export function MarketsPage(props: MarketsPageProps) {
  const { exchange, symbol, timeframe, indicators, onSymbol, onTimeframe, onIndicators, onOpenChart } = props;
  const phone = useMedia('(max-width: 39.99em)');
  const narrow = useMedia('(max-width: 63.99em)');
  const wide = useMedia('(min-width: 120em)');
  const [drawer, setDrawer] = useState<'list' | 'book' | null>(null);
  const [left, setLeft] = useStoredNumber('candlewick.markets.left', 284);
  const [right, setRight] = useStoredNumber('candlewick.markets.right', 290);
  const [second, setSecond] = useState<Timeframe | null>(null);
  useEffect(() => rememberMarket(exchange, symbol), [exchange, symbol]);
  const select = (info: SymbolInfo): void => {
    setDrawer(null);
    onSymbol(info.exchange, info.symbol);
  };
  const open = (info: SymbolInfo): void => onOpenChart(info.exchange, info.symbol);
  const list = (className: string | undefined, rowRem?: number) => (
    <Watchlist
      exchange={exchange}
      selected={symbol}
      onSelect={select}
      onOpen={open}
      className={className}
      {...(rowRem ? { rowRem } : {})}
    />
  );
  const tools = narrow ? (
    <>
      {phone ? null : (
        <Button onClick={() => setDrawer('list')}>
          <List aria-hidden="true" />
          Watchlist
        </Button>
      )}
      <Button icon={phone} aria-label="Order book and trades" onClick={() => setDrawer('book')}>
        <BookOpen aria-hidden="true" />
        {phone ? null : 'Book'}
      </Button>
    </>
  ) : null;
  const side = (
    <>
      <BookPanel exchange={exchange} symbol={symbol} className={styles.book} />
      <TradesPanel exchange={exchange} symbol={symbol} className={styles.trades} />
    </>
  );
  // A phone has room for one overlay and no second pane; what the URL asks for stays in the URL.
  const shown = phone ? indicators.filter((id) => !id.startsWith('rsi')).slice(0, 2) : indicators;
  return (
    <div
      className={styles.room}
      style={{ '--left': `${left / 16}rem`, '--right': `${right / 16}rem` } as React.CSSProperties}
    >
      {narrow ? null : (
        <>
          {list(styles.list)}
          <Splitter label="Width of the watchlist" size={left} min={230} max={460} side="before" onSize={setLeft} />
        </>
      )}
      <div className={styles.charts}>
        <MarketChart
          exchange={exchange}
          symbol={symbol}
          timeframe={timeframe}
          indicators={shown}
          onTimeframe={onTimeframe}
          onIndicators={onIndicators}
          tools={tools}
        />
        {wide ? (
          <MarketChart
            exchange={exchange}
            symbol={symbol}
            timeframe={second ?? FURTHER[timeframe]}
            indicators={indicators}
            onTimeframe={setSecond}
            onIndicators={onIndicators}
            keys={false}
            compact
          />
        ) : null}
      </div>
      {phone ? list(styles.phoneList, 3.25) : null}
      {narrow ? null : (
        <>
          <Splitter label="Width of the order book" size={right} min={240} max={480} side="after" onSize={setRight} />
          <div className={styles.side}>{side}</div>
        </>
      )}
      {narrow ? (
        <>
          <Drawer
            title="Watchlist"
            side="left"
            open={drawer === 'list'}
            onOpenChange={(next) => setDrawer(next ? 'list' : null)}
          >
            {list(styles.drawn)}
          </Drawer>
          <Drawer
            title={`Order book and trades of ${showSymbol(symbol)}`}
            side="right"
            open={drawer === 'book'}
            onOpenChange={(next) => setDrawer(next ? 'book' : null)}
          >
            {side}
          </Drawer>
        </>
      ) : null}
    </div>
  );
}
