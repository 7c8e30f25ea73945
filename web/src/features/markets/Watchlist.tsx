import { useQuery } from '@tanstack/react-query';
import { useVirtualizer } from '@tanstack/react-virtual';
import { ArrowDown, ArrowUp, Search } from 'lucide-react';
import { useEffect, useMemo, useRef, useState } from 'react';
import { ApiError } from '@/shared/api/client';
import { symbolsQuery } from '@/shared/api/queries';
import type { SymbolInfo } from '@/shared/api/types';
import { useKeys } from '@/shared/keys/keys';
import { ticks, useTickLink } from '@/shared/market/tickFeed';
import { tickKey } from '@/shared/ticks/store';
import { Panel, type PanelState } from '@/shared/ui/Panel';
import styles from './Watchlist.module.css';
import { WatchRow } from './WatchRow';

type Sort = 'listed' | 'symbol' | 'last' | 'change';

export interface WatchlistProps {
  exchange: string;
  selected: string;
  onSelect(info: SymbolInfo): void;
  /** Enter on a row opens it in the Chart room. */
  onOpen(info: SymbolInfo): void;
  className?: string | undefined;
  /** Height of a row in rem. */
  rowRem?: number;
}

const NO_SYMBOLS: SymbolInfo[] = [];

/** Every followed symbol with its live price; rows move by transform, so a sort shifts no layout. */
export function Watchlist({ exchange, selected, onSelect, onOpen, className, rowRem = 1.75 }: WatchlistProps) {
  const query = useQuery(symbolsQuery());
  const symbols = query.data ?? NO_SYMBOLS;
  const link = useTickLink();
  const [filter, setFilter] = useState('');
  const [sort, setSort] = useState<{ by: Sort; descending: boolean }>({ by: 'listed', descending: false });
  const input = useRef<HTMLInputElement>(null);
  const scroller = useRef<HTMLDivElement>(null);
  // One function for all rows and all time: another one each time would draw every row again.
  const latest = useRef(onSelect);
  latest.current = onSelect;
  const select = useRef((info: SymbolInfo): void => latest.current(info));
  const rows = useSorted(symbols, filter, sort);
  const at = rows.findIndex((row) => row.symbol === selected && row.exchange === exchange);
  const rem = Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowRem * rem,
    overscan: 6,
    initialRect: { width: 280, height: 700 },
  });
  const move = (by: number): void => {
    const next = rows[Math.max(0, Math.min(rows.length - 1, at + by))];
    if (!next) return;
    onSelect(next);
    virtual.scrollToIndex(rows.indexOf(next));
  };
  useKeys({
    j: () => move(1),
    k: () => move(-1),
    enter: (event) => {
      const row = rows[at];
      // Enter on a focused button or link is that control's own.
      if (row && !(event.target as HTMLElement).closest('button, a, [role="separator"]')) onOpen(row);
    },
    '/': () => input.current?.focus(),
  });
  const state = listState(query.error, query.isPending, symbols.length, link, () => void query.refetch());
  const head = (by: Sort, label: string) => {
    const active = sort.by === by;
    const next = !active
      ? { by, descending: by !== 'symbol' }
      : sort.descending === (by !== 'symbol')
        ? { by, descending: !sort.descending }
        : { by: 'listed' as const, descending: false };
    const Arrow = sort.descending ? ArrowDown : ArrowUp;
    return (
      <button type="button" className={styles.sort} aria-pressed={active} onClick={() => setSort(next)}>
        {active ? <Arrow aria-hidden="true" /> : null}
        {label}
      </button>
    );
  };
  return (
    <Panel
      title="Watchlist"
      sub={<span className={styles.count}>{symbols.length || ''}</span>}
      state={state}
      className={className}
      actions={
        <label className={styles.filter}>
          <Search aria-hidden="true" />
          <span className="sr-only">Filter the watchlist</span>
          <input
            ref={input}
            value={filter}
            placeholder="Filter  /"
            spellCheck={false}
            autoComplete="off"
            onChange={(event) => setFilter(event.target.value)}
            onKeyDown={(event) => {
              if (event.key === 'Escape') {
                setFilter('');
                event.currentTarget.blur();
              }
              const first = rows[0];
              if (event.key === 'Enter' && first) {
                onSelect(first);
                setFilter('');
                event.currentTarget.blur();
              }
            }}
          />
        </label>
      }
      skeleton={Array.from({ length: 8 }, (_, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: eight equal bars
        <i key={i} style={{ height: '1.25rem' }} />
      ))}
    >
      <div className={styles.columns}>
        {head('symbol', 'Symbol')}
        <span className={styles.sparkHead}>24 h</span>
        {head('last', 'Last')}
        {head('change', 'Change')}
      </div>
      <div ref={scroller} className={styles.scroller}>
        <ul className={styles.list} style={{ height: virtual.getTotalSize() }} aria-label="Symbols">
          {virtual.getVirtualItems().map((item) => {
            const info = rows[item.index];
            if (!info) return null;
            return (
              <li
                key={`${info.exchange}:${info.symbol}`}
                className={styles.item}
                style={{ height: item.size, transform: `translateY(${item.start}px)` }}
              >
                <WatchRow
                  info={info}
                  selected={item.index === at}
                  onSelect={select.current}
                  offline={link.kind === 'offline'}
                />
              </li>
            );
          })}
        </ul>
        {rows.length === 0 && symbols.length > 0 ? <p className={styles.none}>No symbol matches “{filter}”.</p> : null}
      </div>
    </Panel>
  );
}

/** Filtered and sorted rows; a sort by a moving number is made again each two seconds, not each tick. */
function useSorted(symbols: SymbolInfo[], filter: string, sort: { by: Sort; descending: boolean }): SymbolInfo[] {
  const [round, setRound] = useState(0);
  const moving = sort.by === 'last' || sort.by === 'change';
  useEffect(() => {
    if (!moving) return;
    const timer = setInterval(() => setRound((n) => n + 1), 2000);
    return () => clearInterval(timer);
  }, [moving]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: `round` is the clock of the moving sorts
  return useMemo(() => {
    const wanted = filter.trim().toUpperCase().replace('/', '-');
    const rows = symbols.filter((s) => s.symbol.includes(wanted));
    if (sort.by === 'listed') return rows;
    const value = (s: SymbolInfo): number => {
      const tick = ticks.get(tickKey(s.exchange, s.symbol));
      return (sort.by === 'last' ? tick?.last : tick?.change_pct_24h) ?? Number.NEGATIVE_INFINITY;
    };
    const sign = sort.descending ? -1 : 1;
    if (sort.by === 'symbol') return rows.toSorted((a, b) => sign * a.symbol.localeCompare(b.symbol));
    return rows.toSorted((a, b) => sign * (value(a) - value(b)));
  }, [symbols, filter, sort, round]);
}

function listState(
  error: Error | null,
  pending: boolean,
  count: number,
  link: ReturnType<typeof useTickLink>,
  retry: () => void,
): PanelState {
  if (error && count === 0) {
    const known = error instanceof ApiError;
    return {
      kind: 'error',
      message: error.message,
      code: known ? error.code : 'UNREADABLE',
      correlationId: known ? error.correlationId : null,
      retry,
    };
  }
  if (pending) return { kind: 'loading' };
  if (count === 0) return { kind: 'empty', message: 'No symbol is followed yet.' };
  if (link.kind === 'offline') return { kind: 'offline', asOf: 0, retryAt: link.retryAt };
  return { kind: 'live' };
}
