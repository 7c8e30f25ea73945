import { CircleAlert, CircleCheck, Clock, RotateCcw, WifiOff } from 'lucide-react';
import { type ReactNode, useEffect, useId, useState } from 'react';
import { repairedCandles } from '../format/market';
import { formatAge, formatClock } from '../format/time';
import { Button } from './Button';
import styles from './Panel.module.css';

/** A panel is always in exactly one of these. */
export type PanelState =
  | { kind: 'live' }
  | { kind: 'loading' }
  | { kind: 'empty'; message: string; action?: { label: string; run(): void } }
  | { kind: 'error'; message: string; code: string; correlationId: string | null; retry(): void }
  | { kind: 'stale'; ageMs: number; lastAt: number }
  /** `retryAt` is of this machine's clock; `asOf` is when the last values were true (0 = unknown). */
  | { kind: 'offline'; asOf: number; retryAt: number }
  | { kind: 'gap'; label: string; settled: boolean }
  | { kind: 'repaired'; label: string };

export interface PanelProps {
  title: ReactNode;
  /** Quiet words beside the title. */
  sub?: ReactNode;
  /** Controls at the right end of the head. */
  actions?: ReactNode;
  state: PanelState;
  children?: ReactNode;
  /** A picture of the same size as the content; a plain block otherwise. */
  skeleton?: ReactNode;
  /** Loading leaves the content in its place, under the skeleton: for content that is dear to make anew. */
  holds?: boolean;
  /** Replaces the whole head; it then says itself what is missing or mended inside. */
  head?: ReactNode;
  className?: string | undefined;
  /** The region's name when the title is not plain text. */
  label?: string;
}

function Countdown({ until }: { until: number }) {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 500);
    return () => clearInterval(timer);
  }, []);
  const left = Math.max(0, Math.ceil((until - now) / 1000));
  return <span>{left > 0 ? `offline, retry in ${left} s` : 'offline, retrying'}</span>;
}

function Note({ state }: { state: PanelState }) {
  if (state.kind === 'stale') {
    return (
      <span className={styles.noteWarn} role="status">
        <Clock aria-hidden="true" />
        {`stale ${formatAge(state.ageMs)}, last at ${formatClock(state.lastAt)}`}
      </span>
    );
  }
  if (state.kind === 'offline') {
    return (
      <span className={styles.noteQuiet} role="status">
        <WifiOff aria-hidden="true" />
        <Countdown until={state.retryAt} />
        {state.asOf > 0 ? <span className={styles.asOf}>{`as of ${formatClock(state.asOf)}`}</span> : null}
      </span>
    );
  }
  if (state.kind === 'gap') {
    return (
      <span className={state.settled ? styles.chip : styles.chipWarn}>
        {state.settled ? <CircleCheck aria-hidden="true" /> : <CircleAlert aria-hidden="true" />}
        {state.label}
      </span>
    );
  }
  if (state.kind === 'repaired') {
    return (
      <span className={styles.chip}>
        <RotateCcw aria-hidden="true" />
        {state.label}
      </span>
    );
  }
  return null;
}

function Failure({ state }: { state: Extract<PanelState, { kind: 'error' }> }) {
  const [copied, setCopied] = useState(false);
  const details = [state.message, state.code, state.correlationId].filter(Boolean).join(' · ');
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(details);
    setCopied(true);
  };
  return (
    <div className={styles.middle} role="alert">
      <p className={styles.message}>
        <CircleAlert aria-hidden="true" className={styles.bad} />
        {state.message}
      </p>
      <p className={styles.code}>{[state.code, state.correlationId].filter(Boolean).join(' · ')}</p>
      <div className={styles.buttons}>
        <Button onClick={state.retry}>Retry</Button>
        <Button onClick={() => void copy()}>{copied ? 'Copied' : 'Copy details'}</Button>
      </div>
    </div>
  );
}

/** The frame of every region on a screen; keeps last values on stale and offline, never shows a blank. */
export function Panel(props: PanelProps) {
  const { title, sub, actions, state, children, skeleton, holds = false, head, className, label } = props;
  const id = useId();
  const keeps = !((state.kind === 'loading' && !holds) || state.kind === 'empty' || state.kind === 'error');
  const bones = (
    <div className={styles.skeleton} data-over={keeps} data-testid="skeleton" aria-hidden="true">
      {skeleton ?? (
        <>
          <i style={{ width: '40%', height: '1.5rem' }} />
          <i style={{ flex: 1 }} />
        </>
      )}
    </div>
  );
  return (
    <section
      className={[styles.panel, className].filter(Boolean).join(' ')}
      data-state={state.kind}
      aria-busy={state.kind === 'loading'}
      {...(label ? { 'aria-label': label } : { 'aria-labelledby': id })}
    >
      {head ?? (
        <header className={styles.head}>
          <h2 id={id} className={styles.title}>
            {title}
          </h2>
          {sub ? <span className={styles.sub}>{sub}</span> : null}
          <Note state={state} />
          {actions ? <div className={styles.actions}>{actions}</div> : null}
        </header>
      )}
      {keeps ? (
        <div className={styles.body}>
          {head && (state.kind === 'stale' || state.kind === 'offline') ? (
            <div className={styles.floating}>
              <Note state={state} />
            </div>
          ) : null}
          {children}
          {state.kind === 'loading' ? bones : null}
        </div>
      ) : null}
      {state.kind === 'loading' && !keeps ? bones : null}
      {state.kind === 'empty' ? (
        <div className={styles.middle}>
          <p className={styles.message}>{state.message}</p>
          {state.action ? (
            <Button primary onClick={state.action.run}>
              {state.action.label}
            </Button>
          ) : null}
        </div>
      ) : null}
      {state.kind === 'error' ? <Failure state={state} /> : null}
    </section>
  );
}

/** "6 candles repaired" and the like, for the repaired state. */
export function repairedLabel(count: number): string {
  return `${repairedCandles(count)}, marked below`;
}
