import { useEffect, useState } from 'react';
import type { CandleBook } from '../../candles/candleBook';
import { formatPrice, formatSize } from '../../format/numbers';
import { formatDateTime } from '../../format/time';
import styles from './CandleTable.module.css';

/** Rows shown; older candles are one pan of the chart away. */
const ROWS = 200;

/** The same candles as text, newest first, for readers whom a canvas does not serve. */
export function CandleTable({ label, book, decimals }: { label: string; book: CandleBook; decimals: number }) {
  const [rows, setRows] = useState(() => book.candles.slice(-ROWS).reverse());
  useEffect(() => {
    const refresh = (): void => setRows(book.candles.slice(-ROWS).reverse());
    refresh();
    const timer = setInterval(refresh, 1000);
    return () => clearInterval(timer);
  }, [book]);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keys
    <section className={styles.scroller} aria-label={`${label}, as a table`} tabIndex={0}>
      <table className={styles.table}>
        <thead>
          <tr>
            <th scope="col">Open time, UTC</th>
            <th scope="col">Open</th>
            <th scope="col">High</th>
            <th scope="col">Low</th>
            <th scope="col">Close</th>
            <th scope="col">Volume</th>
            <th scope="col">State</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((candle) => (
            <tr key={candle.open_time}>
              <th scope="row">{formatDateTime(candle.open_time)}</th>
              <td>{formatPrice(candle.open, decimals)}</td>
              <td>{formatPrice(candle.high, decimals)}</td>
              <td>{formatPrice(candle.low, decimals)}</td>
              <td>{formatPrice(candle.close, decimals)}</td>
              <td>{formatSize(candle.volume)}</td>
              <td>
                {[
                  candle.final ? 'final' : 'open',
                  candle.origin === 'repaired' ? 'repaired' : '',
                  candle.quality === 'gapped' ? 'gapped' : '',
                ]
                  .filter(Boolean)
                  .join(', ')}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
