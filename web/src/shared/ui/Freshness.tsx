import { Clock } from 'lucide-react';
import { formatAge } from '../format/time';
import styles from './Chips.module.css';

/** The age of a value that is too old to be taken for the present. */
export function Freshness({ ageMs }: { ageMs: number }) {
  return (
    <span className={`${styles.warn} ${styles.age}`} title={`No update for ${formatAge(ageMs)}`}>
      <Clock aria-hidden="true" />
      <span className="sr-only">stale, </span>
      {formatAge(ageMs)}
    </span>
  );
}
