import { memo } from 'react';
import styles from './Sparkline.module.css';

export interface SparklineProps {
  /** Oldest first; null breaks the line. */
  values: readonly (number | null)[];
  tone: 'up' | 'down' | 'quiet';
  width?: number;
  height?: number;
}

/** Path data of the line and of the area under it; a null ends a stroke and starts another. */
export function sparkPath(
  values: readonly (number | null)[],
  width: number,
  height: number,
): { line: string; area: string } {
  const known = values.filter((value): value is number => value !== null && Number.isFinite(value));
  if (known.length < 2) return { line: '', area: '' };
  const low = Math.min(...known);
  const span = Math.max(...known) - low || 1;
  const top = 1.5;
  const x = (i: number): string => ((i / (values.length - 1)) * width).toFixed(1);
  const y = (value: number): string => (top + (1 - (value - low) / span) * (height - 2 * top)).toFixed(1);
  let line = '';
  let area = '';
  let run: string[] = [];
  let from = 0;
  const close = (to: number): void => {
    if (run.length > 1) {
      line += `M${run.join('L')}`;
      area += `M${x(from)},${height}L${run.join('L')}L${x(to)},${height}Z`;
    }
    run = [];
  };
  values.forEach((value, i) => {
    if (value === null || !Number.isFinite(value)) {
      close(i - 1);
      return;
    }
    if (run.length === 0) from = i;
    run.push(`${x(i)},${y(value)}`);
  });
  close(values.length - 1);
  return { line, area };
}

export const Sparkline = memo(function Sparkline({ values, tone, width = 50, height = 18 }: SparklineProps) {
  const { line, area } = sparkPath(values, width, height);
  return (
    <svg
      className={styles.spark}
      data-tone={tone}
      viewBox={`0 0 ${width} ${height}`}
      preserveAspectRatio="none"
      aria-hidden="true"
    >
      <path className={styles.area} d={area} />
      <path className={styles.line} d={line} />
    </svg>
  );
});
