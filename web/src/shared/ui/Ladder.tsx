import { memo } from 'react';
import type { Book } from '../api/types';
import { formatPrice, formatSize } from '../format/numbers';
import styles from './Ladder.module.css';
import { groupLevels, type Level } from './ladder';

export interface LadderProps {
  book: Book;
  decimals: number;
  /** Price step of one row. */
  step: number;
  base: string;
  last: number | null;
  direction: 'up' | 'down' | null;
}

const Row = memo(function Row({
  level,
  decimals,
  side,
  most,
}: {
  level: Level;
  decimals: number;
  side: 'bid' | 'ask';
  most: number;
}) {
  return (
    <div className={styles.row} data-side={side} role="row">
      <i className={styles.depth} style={{ transform: `scaleX(${Math.min(1, level.sum / most)})` }} />
      <i className={styles.size} style={{ transform: `scaleX(${Math.min(1, level.size / most)})` }} />
      <span role="cell" className={styles.price}>
        {formatPrice(level.price, decimals)}
      </span>
      <span role="cell">{formatSize(level.size)}</span>
      <span role="cell" className={styles.sum}>
        {formatSize(level.sum)}
      </span>
    </div>
  );
});

/** Grouped depth around the spread. A book whose sequence broke is greyed: its levels may be wrong. */
export function Ladder({ book, decimals, step, base, last, direction }: LadderProps) {
  const asks = groupLevels(book.asks, step, 'ask');
  const bids = groupLevels(book.bids, step, 'bid');
  const most = Math.max(asks[asks.length - 1]?.sum ?? 0, bids[bids.length - 1]?.sum ?? 0) || 1;
  const bestAsk = book.asks[0]?.[0];
  const bestBid = book.bids[0]?.[0];
  const spread = bestAsk !== undefined && bestBid !== undefined ? bestAsk - bestBid : null;
  const bps = spread !== null && bestAsk ? (spread / bestAsk) * 10_000 : null;
  return (
    <div className={styles.ladder} role="table" aria-label="Order book" data-broken={!book.in_sequence}>
      <div className={styles.head} role="row">
        <span role="columnheader">Price</span>
        <span role="columnheader">{base}</span>
        <span role="columnheader">Sum</span>
      </div>
      <div className={styles.asks} role="rowgroup" aria-label="Asks">
        {asks.map((level, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a row is a place in the ladder, not a price; its content changes in place
          <Row key={i} level={level} decimals={decimals} side="ask" most={most} />
        ))}
      </div>
      <div className={styles.spread} role="row">
        <span role="cell" className={styles.last} data-tone={direction ?? 'none'}>
          {formatPrice(last, decimals)}
        </span>
        <span role="cell" className={styles.spreadText}>
          {spread === null ? '' : `spread ${formatPrice(spread, decimals)} · ${bps?.toFixed(2)} bps`}
        </span>
      </div>
      <div className={styles.bids} role="rowgroup" aria-label="Bids">
        {bids.map((level, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: as above
          <Row key={i} level={level} decimals={decimals} side="bid" most={most} />
        ))}
      </div>
    </div>
  );
}
