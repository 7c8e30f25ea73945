import { useEffect, useRef } from 'react';
import styles from './NumberCell.module.css';

export interface NumberCellProps {
  text: string;
  /** The value behind the text: a change of it tints the cell for 600 ms. */
  value: number | null;
  direction?: 'up' | 'down' | null;
  /** Characters of reserved width, so that a longer number moves nothing. */
  chars: number;
  className?: string | undefined;
}

const still = (): boolean => typeof matchMedia === 'function' && matchMedia('(prefers-reduced-motion: reduce)').matches;

export function NumberCell({ text, value, direction = null, chars, className }: NumberCellProps) {
  const cell = useRef<HTMLSpanElement>(null);
  const before = useRef(value);
  useEffect(() => {
    const changed = before.current !== null && value !== null && before.current !== value;
    before.current = value;
    if (!changed || direction === null || still()) return;
    const tint = `color-mix(in srgb, var(--${direction}) 18%, transparent)`;
    cell.current?.animate?.([{ backgroundColor: tint }, { backgroundColor: 'transparent' }], {
      duration: 600,
      easing: 'ease-out',
    });
  }, [value, direction]);
  return (
    <span ref={cell} className={[styles.cell, className].filter(Boolean).join(' ')} style={{ minWidth: `${chars}ch` }}>
      {text}
    </span>
  );
}
