import { useQuery } from '@tanstack/react-query';
import { useEffect } from 'react';
import { symbolsQuery } from '@/shared/api/queries';
import type { Timeframe } from '@/shared/format/market';
import { useKeys } from '@/shared/keys/keys';
import { MarketChart } from '@/shared/market/MarketChart';
import { rememberMarket } from '@/shared/market/recent';
import styles from './ChartPage.module.css';

export interface ChartPageProps {
  exchange: string;
  symbol: string;
  timeframe: Timeframe;
  indicators: readonly string[];
  onSymbol(exchange: string, symbol: string): void;
  onTimeframe(timeframe: Timeframe): void;
  onIndicators(ids: string[]): void;
}

/** One market, the whole width: J and K walk through the followed symbols. */
export function ChartPage({ exchange, symbol, onSymbol, ...rest }: ChartPageProps) {
  const symbols = useQuery(symbolsQuery()).data ?? [];
  useEffect(() => rememberMarket(exchange, symbol), [exchange, symbol]);
  const move = (by: number): void => {
    const at = symbols.findIndex((s) => s.symbol === symbol && s.exchange === exchange);
    const next = symbols[(at + by + symbols.length) % symbols.length];
    if (next) onSymbol(next.exchange, next.symbol);
  };
  useKeys({ j: () => move(1), k: () => move(-1) });
  return (
    <div className={styles.room}>
      <MarketChart exchange={exchange} symbol={symbol} {...rest} />
    </div>
  );
}
