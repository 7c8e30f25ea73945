import { memo } from 'react';
import type { Trade } from '../api/types';
import { formatPrice, formatSize } from '../format/numbers';
import { formatClock } from '../format/time';
import styles from './Tape.module.css';

const Row = memo(function Row({ trade, decimals }: { trade: Trade; decimals: number }) {
  return (
    <tr>
      <td className={styles.time}>{formatClock(trade.ts, true)}</td>
      <td className={styles.price} data-side={trade.side}>
        <span className="sr-only">{trade.side === 'buy' ? 'bought at ' : 'sold at '}</span>
        {formatPrice(trade.price, decimals)}
      </td>
      <td>{formatSize(trade.size)}</td>
    </tr>
  );
});

/** Newest trades first. Rows are places, not trades: a new trade moves no element, it only changes words. */
export function Tape({ trades, decimals, rows = 60 }: { trades: readonly Trade[]; decimals: number; rows?: number }) {
  return (
    <div className={styles.scroller}>
      <table className={styles.tape} aria-label="Trades, newest first">
        <thead className="sr-only">
          <tr>
            <th scope="col">Time, UTC</th>
            <th scope="col">Price</th>
            <th scope="col">Size</th>
          </tr>
        </thead>
        <tbody>
          {trades.slice(0, rows).map((trade, i) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: see the comment of this component
            <Row key={i} trade={trade} decimals={decimals} />
          ))}
        </tbody>
      </table>
    </div>
  );
}
