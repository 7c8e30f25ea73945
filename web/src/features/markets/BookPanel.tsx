import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { symbolsQuery } from '@/shared/api/queries';
import { splitSymbol } from '@/shared/format/market';
import { decimalsOf, formatPrice } from '@/shared/format/numbers';
import { usePlatformNow } from '@/shared/market/platformClock';
import { useTick } from '@/shared/market/tickFeed';
import { useBook } from '@/shared/market/useTopic';
import { Ladder } from '@/shared/ui/Ladder';
import { groupSteps } from '@/shared/ui/ladder';
import { Panel, type PanelState } from '@/shared/ui/Panel';
import styles from './Side.module.css';

/** A book speaks many times a second; this long without a word is stale. */
const BOOK_STALE_MS = 10_000;

export function BookPanel({
  exchange,
  symbol,
  className,
}: {
  exchange: string;
  symbol: string;
  className?: string | undefined;
}) {
  const { book, link } = useBook(exchange, symbol);
  const tick = useTick(exchange, symbol);
  const info = useQuery(symbolsQuery()).data?.find((s) => s.symbol === symbol && s.exchange === exchange);
  const now = usePlatformNow(1000);
  const [chosen, setChosen] = useState<{ symbol: string; step: number } | null>(null);
  const tickSize = Number(info?.price_tick ?? '0.01');
  const decimals = decimalsOf(info?.price_tick ?? '0.01');
  const steps = book ? groupSteps(tickSize, book.asks) : [tickSize];
  const step = chosen?.symbol === symbol && steps.includes(chosen.step) ? chosen.step : tickSize;
  const age = book && now > 0 ? now - book.ts : 0;
  let state: PanelState = { kind: 'live' };
  if (link.kind === 'offline') state = { kind: 'offline', asOf: book?.ts ?? 0, retryAt: link.retryAt };
  else if (!book) state = { kind: 'loading' };
  else if (age > BOOK_STALE_MS) state = { kind: 'stale', ageMs: age, lastAt: book.ts };
  return (
    <Panel
      title="Order book"
      sub={
        state.kind === 'live' ? (
          book?.in_sequence ? (
            'in sequence'
          ) : (
            <span className={styles.warn}>sequence broken</span>
          )
        ) : null
      }
      state={state}
      className={className}
      actions={
        <label className={styles.group}>
          <span className="sr-only">Group prices by</span>
          <select value={step} onChange={(event) => setChosen({ symbol, step: Number(event.target.value) })}>
            {steps.map((value) => (
              <option key={value} value={value}>{`group ${formatPrice(value, decimals)}`}</option>
            ))}
          </select>
        </label>
      }
    >
      {book ? (
        <Ladder
          book={book}
          decimals={decimals}
          step={step}
          base={splitSymbol(symbol)[0]}
          last={tick?.last ?? null}
          direction={tick?.direction ?? null}
        />
      ) : null}
    </Panel>
  );
}
