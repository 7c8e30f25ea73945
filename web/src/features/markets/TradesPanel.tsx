import { useQuery } from '@tanstack/react-query';
import { symbolsQuery } from '@/shared/api/queries';
import { decimalsOf } from '@/shared/format/numbers';
import { platformClock, usePlatformNow } from '@/shared/market/platformClock';
import { useTrades } from '@/shared/market/useTopic';
import { Panel, type PanelState } from '@/shared/ui/Panel';
import { Sparkline } from '@/shared/ui/Sparkline';
import { Tape } from '@/shared/ui/Tape';
import styles from './Side.module.css';

/** Seconds of the little rate picture in the head. */
const RATE_SECONDS = 40;

export function TradesPanel({
  exchange,
  symbol,
  className,
}: {
  exchange: string;
  symbol: string;
  className?: string | undefined;
}) {
  const { ring, trades, link } = useTrades(exchange, symbol);
  const info = useQuery(symbolsQuery()).data?.find((s) => s.symbol === symbol && s.exchange === exchange);
  const now = usePlatformNow(1000);
  const rates = ring.rates(now, RATE_SECONDS);
  const rate = rates.slice(-5).reduce((sum, count) => sum + count, 0) / 5;
  const last = trades[0]?.ts ?? 0;
  let state: PanelState = { kind: 'live' };
  if (link.kind === 'offline') state = { kind: 'offline', asOf: last, retryAt: link.retryAt };
  else if (link.kind === 'connecting' && trades.length === 0) state = { kind: 'loading' };
  else if (trades.length === 0) state = { kind: 'empty', message: 'No trade yet.' };
  else if (now > 0 && now - last > 60_000 * Math.max(1, platformClock.pace))
    state = { kind: 'stale', ageMs: now - last, lastAt: last };
  return (
    <Panel
      title="Trades"
      state={state}
      className={className}
      actions={
        <span className={styles.rate} title="Trades a second">
          <span className={styles.rateSpark}>
            <Sparkline values={rates} tone="quiet" />
          </span>
          {`${rate < 10 ? rate.toFixed(1) : Math.round(rate)}/s`}
        </span>
      }
    >
      <Tape trades={trades} decimals={decimalsOf(info?.price_tick ?? '0.01')} />
    </Panel>
  );
}
