import styles from './ModeBadge.module.css';
import { type Wick, WickIcon } from './WickIcon';

/** Wicks that these rooms can be in: nothing trades here, so a flame is never shown. */
export type ViewMode = 'simulated' | 'replay' | 'live';

export interface ModeWords {
  wick: Extract<Wick, 'simulated' | 'data'>;
  word: string;
  /** Prefix of the document's title. */
  title: string;
}

/** Demo market and replays are simulated; a venue's public data without trading is data, never the flame of LIVE. */
export function modeWords(mode: ViewMode): ModeWords {
  if (mode === 'live') return { wick: 'data', word: 'LIVE DATA', title: 'LIVE DATA' };
  return { wick: 'simulated', word: 'SIMULATED', title: 'SIMULATED' };
}

export function ModeBadge({ mode, detail }: { mode: ViewMode; detail: string }) {
  const { wick, word } = modeWords(mode);
  return (
    <div
      className={styles.badge}
      data-mode={wick}
      data-testid="mode-badge"
      title={mode === 'live' ? 'Public market data; nothing is traded' : 'Not real money, not a real market'}
    >
      <WickIcon wick={wick} />
      <strong>{word}</strong>
      <span className={styles.detail}>{detail}</span>
    </div>
  );
}

/** The line along the top edge of the page: dotted while simulated, hairline on real data. */
export function ModeLine({ mode }: { mode: ViewMode }) {
  return <div className={styles.line} data-mode={modeWords(mode).wick} data-testid="mode-line" aria-hidden="true" />;
}
