import { memo, useEffect, useLayoutEffect, useRef, useState } from 'react';
import type { SymbolInfo } from '@/shared/api/types';
import { showSymbol, splitSymbol } from '@/shared/format/market';
import { decimalsOf, formatPercent, formatPrice } from '@/shared/format/numbers';
import { staleAge } from '@/shared/market/staleness';
import { ticks } from '@/shared/market/tickFeed';
import { type Tick, tickKey } from '@/shared/ticks/store';
import { Freshness } from '@/shared/ui/Freshness';
import numbers from '@/shared/ui/NumberCell.module.css';
import { Sparkline } from '@/shared/ui/Sparkline';
import { movable, tint, untint } from '@/shared/ui/tint';
import styles from './Watchlist.module.css';

export interface WatchRowProps {
  info: SymbolInfo;
  selected: boolean;
  offline: boolean;
  onSelect(info: SymbolInfo): void;
}

/** What of a tick makes a row look different; price and change are only words. */
interface Look {
  spark: readonly (number | null)[] | null;
  falling: boolean;
  /** Age (ms) of a tick that is too old, null of one that is not. */
  age: number | null;
}

function lookOf(tick: Tick | undefined): Look {
  return { spark: tick?.sparkline ?? null, falling: (tick?.change_pct_24h ?? 0) < 0, age: staleAge(tick) };
}

/**
 * One symbol of the watchlist. Its price and change are written into the page beside React: a screenful of rows moves
 * ten times a second, and two words are all that is different then.
 */
export const WatchRow = memo(function WatchRow({ info, selected, offline, onSelect }: WatchRowProps) {
  const key = tickKey(info.exchange, info.symbol);
  const [look, setLook] = useState(() => lookOf(ticks.get(key)));
  const shown = useRef(look);
  shown.current = look;
  const price = useRef<HTMLSpanElement>(null);
  const change = useRef<HTMLSpanElement>(null);
  const decimals = decimalsOf(info.price_tick);
  const stale = offline || look.age !== null;

  useLayoutEffect(() => {
    write(ticks.get(key), price.current, change.current, decimals, stale);
  });
  useEffect(() => {
    const again = (): void => {
      const next = lookOf(ticks.get(key));
      const { spark, falling, age } = shown.current;
      if (next.spark !== spark || next.falling !== falling || next.age !== age) setLook(next);
    };
    const hear = (): void => {
      const tick = ticks.get(key);
      const { age } = shown.current;
      again();
      write(tick, price.current, change.current, decimals, offline || age !== null);
      if (tick?.direction && price.current && movable()) tint(price.current, tick.direction);
    };
    again();
    const stop = ticks.subscribe(key, hear);
    const timer = setInterval(again, 1000);
    return () => {
      stop();
      clearInterval(timer);
    };
  }, [key, decimals, offline]);
  useEffect(() => {
    const cell = price.current;
    return () => {
      if (cell) untint(cell);
    };
  }, []);

  const [base, quote] = splitSymbol(info.symbol);
  return (
    <button
      type="button"
      className={styles.row}
      aria-current={selected}
      data-stale={stale}
      data-symbol={info.symbol}
      onClick={() => onSelect(info)}
      title={showSymbol(info.symbol)}
    >
      <span className={styles.symbol}>
        {base}
        {quote === 'USDT' ? null : <small>/{quote}</small>}
      </span>
      <span className={styles.spark}>
        {look.spark ? <Sparkline values={look.spark} tone={stale ? 'quiet' : look.falling ? 'down' : 'up'} /> : null}
      </span>
      <span ref={price} className={`${numbers.cell} ${styles.last}`} style={{ minWidth: '8ch' }} />
      {look.age !== null && !offline ? <Freshness ageMs={look.age} /> : <span ref={change} className={styles.change} />}
    </button>
  );
});

/** Words that are there already are left alone: they would be laid out again. */
function write(
  tick: Tick | undefined,
  price: HTMLElement | null,
  change: HTMLElement | null,
  decimals: number,
  stale: boolean,
): void {
  const last = formatPrice(tick?.last, decimals);
  if (price && price.textContent !== last) price.textContent = last;
  if (!change) return;
  const percent = tick?.change_pct_24h ?? null;
  const words = formatPercent(percent);
  if (change.textContent !== words) change.textContent = words;
  const tone = stale || percent === null ? 'quiet' : percent >= 0 ? 'up' : 'down';
  if (change.dataset.tone !== tone) change.dataset.tone = tone;
}
