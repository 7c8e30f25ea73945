import { Link } from '@tanstack/react-router';
import { Binoculars, CandlestickChart, CircleHelp, Settings } from 'lucide-react';
import { DEFAULT_EXCHANGE, DEFAULT_SYMBOL, DEFAULT_TIMEFRAME } from '@/shared/market/defaults';
import { useMarket, useUrlExchange } from '@/shared/market/useMarket';
import { BrandMark } from '@/shared/ui/WickIcon';
import { useRoom } from './navigation';
import styles from './Rail.module.css';

/** The rooms that exist: a side rail, on phones a bar below. */
export function Rail({ onHelp }: { onHelp(): void }) {
  const { name, market } = useRoom();
  const first = useMarket() ?? { exchange: DEFAULT_EXCHANGE, symbol: DEFAULT_SYMBOL };
  const urlExchange = useUrlExchange();
  const { exchange, symbol } = market ?? first;
  const timeframe = market?.timeframe ?? DEFAULT_TIMEFRAME;
  const current = (room: string) => (name === room ? ({ 'aria-current': 'page' } as const) : {});
  return (
    <nav className={styles.rail} aria-label="Rooms">
      <span className={styles.brand}>
        <BrandMark />
        <span className="sr-only">Candlewick</span>
      </span>
      <Link
        className={styles.item}
        to="/markets"
        search={{ exchange: urlExchange({ exchange, symbol }), symbol, tf: timeframe }}
        title="Markets, G then M"
        {...current('markets')}
      >
        <Binoculars aria-hidden="true" />
        <span>Markets</span>
      </Link>
      <Link
        className={styles.item}
        to="/chart/$exchange/$symbol/$tf"
        params={{ exchange, symbol, tf: timeframe }}
        title="Chart, G then C"
        {...current('chart')}
      >
        <CandlestickChart aria-hidden="true" />
        <span>Chart</span>
      </Link>
      <i className={styles.space} />
      <button type="button" className={`${styles.item} ${styles.help}`} onClick={onHelp} title="Keys, ?">
        <CircleHelp aria-hidden="true" />
        <span>Keys</span>
      </button>
      <Link className={styles.item} to="/settings" title="Settings, G then comma" {...current('settings')}>
        <Settings aria-hidden="true" />
        <span>Settings</span>
      </Link>
    </nav>
  );
}
