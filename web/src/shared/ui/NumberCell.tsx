import { useEffect, useRef } from 'react';
import styles from './NumberCell.module.css';
import { movable, tint, untint } from './tint';

export interface NumberCellProps {
  text: string;
  /** The value behind the text: a change of it tints the cell for 600 ms. */
  value: number | null;
  direction?: 'up' | 'down' | null;
  /** Characters of reserved width, so that a longer number moves nothing. */
  chars: number;
  className?: string | undefined;
}

export function NumberCell({ text, value, direction = null, chars, className }: NumberCellProps) {
  const cell = useRef<HTMLSpanElement>(null);
  const before = useRef(value);
  useEffect(() => {
    const changed = before.current !== null && value !== null && before.current !== value;
    before.current = value;
    if (changed && direction !== null && cell.current && movable()) tint(cell.current, direction);
  }, [value, direction]);
  useEffect(() => {
    const element = cell.current;
    return () => {
      if (element) untint(element);
    };
  }, []);
  return (
    <span ref={cell} className={[styles.cell, className].filter(Boolean).join(' ')} style={{ minWidth: `${chars}ch` }}>
      {text}
    </span>
  );
}
