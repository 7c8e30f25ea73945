import { Activity, CirclePlay, Database, TriangleAlert } from 'lucide-react';
import type { Status } from '@/shared/api/types';
import { formatCount } from '@/shared/format/numbers';
import { formatClock, formatDate } from '@/shared/format/time';
import { usePlatformNow } from '@/shared/market/platformClock';
import { useTickLink } from '@/shared/market/tickFeed';
import styles from './StatusBar.module.css';

const ms = (value: number | null): string => (value === null ? '–' : formatCount(Math.round(value)));

/** What an operator reads first: is the feed alive, are there holes, how fast does it go, what time is it there. */
export function StatusBar({ status, silent }: { status: Status | null; silent: boolean }) {
  const link = useTickLink();
  const now = usePlatformNow(250);
  const offline = silent || link.kind === 'offline';
  const feed = status?.feed;
  const failing = status?.services.filter((s) => s.state === 'failed' || s.state === 'degraded') ?? [];
  const tone = offline ? 'bad' : !status || !feed?.connected ? 'warn' : 'ok';
  return (
    <footer className={styles.bar}>
      <h2 className="sr-only">Platform status</h2>
      <span className={styles.item} data-testid="feed-state" data-tone={tone}>
        <i className={styles.dot} data-tone={tone} aria-hidden="true" />
        {offline ? (
          <b>offline, retrying</b>
        ) : feed && !feed.connected ? (
          <b>feed disconnected</b>
        ) : (
          <>
            <b>{feed?.lag_p50_ms == null ? 'Feed connected' : `Feed ${ms(feed.lag_p50_ms)} ms`}</b>
            {feed?.lag_p99_ms == null ? null : <span className={styles.secondary}>{`p99 ${ms(feed.lag_p99_ms)}`}</span>}
          </>
        )}
      </span>
      {feed && feed.stale_symbols > 0 ? (
        <span className={styles.item} data-tone="warn">
          {`${feed.stale_symbols} stale`}
        </span>
      ) : null}
      <span
        className={styles.item}
        data-tone={status && status.gaps_open > 0 ? 'warn' : 'none'}
        data-testid="gaps-open"
      >
        <Database aria-hidden="true" />
        <b>{status?.gaps_open ?? '–'}</b>
        {status?.gaps_open === 1 ? 'gap open' : 'gaps open'}
      </span>
      <span className={`${styles.item} ${styles.wide}`}>
        <Activity aria-hidden="true" />
        log <b className={styles.rate}>{status ? formatCount(Math.round(status.events_per_second)) : '–'}</b> ev/s
      </span>
      {failing.length > 0 ? (
        <span
          className={styles.item}
          data-tone="warn"
          title={failing.map((s) => `${s.name} ${s.state}${s.detail ? `: ${s.detail}` : ''}`).join('\n')}
        >
          <TriangleAlert aria-hidden="true" />
          {`${failing[0]?.name} ${failing[0]?.state}`}
        </span>
      ) : null}
      <i className={styles.space} />
      {status && status.mode !== 'live' ? (
        <span className={`${styles.item} ${styles.wide}`}>
          <CirclePlay aria-hidden="true" />
          {status.mode_detail}
        </span>
      ) : null}
      <span className={styles.item}>
        <time className={styles.clock} title={now > 0 ? new Date(now).toString() : ''}>
          {now > 0 ? (
            <>
              <span className={styles.date}>{formatDate(now)} </span>
              {formatClock(now)} UTC
            </>
          ) : (
            '–'
          )}
        </time>
      </span>
    </footer>
  );
}
