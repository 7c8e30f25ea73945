import { CircleAlert, CircleCheck, RotateCcw } from 'lucide-react';
import styles from './Chips.module.css';

export interface GapMarkProps {
  title: string;
  detail: string;
  tone: 'settled' | 'open' | 'repaired';
}

/** One known fault of the data, in words. */
export function GapMark({ title, detail, tone }: GapMarkProps) {
  const Icon = tone === 'repaired' ? RotateCcw : tone === 'settled' ? CircleCheck : CircleAlert;
  return (
    <span className={tone === 'open' ? styles.outlineWarn : styles.outline}>
      <Icon aria-hidden="true" />
      <b>{title}</b>
      <span>{detail}</span>
    </span>
  );
}
