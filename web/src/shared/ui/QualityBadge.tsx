import { Check, CircleAlert } from 'lucide-react';
import type { Quality } from '../api/types';
import { formatCount } from '../format/numbers';
import styles from './Chips.module.css';

/** Below this the badge asks for attention. */
const GOOD = 99;

/** How complete the stored candles of a market are, 0 to 100. */
export function QualityBadge({ quality }: { quality: Quality }) {
  const good = quality.score >= GOOD;
  const detail = [
    `${formatCount(quality.present)} of ${formatCount(quality.expected)} candles present`,
    `${formatCount(quality.repaired)} repaired`,
    `${formatCount(quality.gapped)} with gaps`,
    `${formatCount(quality.late)} late trades`,
    `${formatCount(quality.duplicates)} duplicates dropped`,
  ].join(', ');
  return (
    <span className={good ? styles.ok : styles.warn} title={detail} data-testid="quality-badge">
      {good ? <Check aria-hidden="true" /> : <CircleAlert aria-hidden="true" />}
      {`Quality ${(Math.floor(quality.score * 10) / 10).toFixed(1)}`}
      <span className="sr-only">{`, ${detail}`}</span>
    </span>
  );
}
