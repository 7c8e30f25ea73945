import { type KeyboardEvent, type PointerEvent, useState } from 'react';
import styles from './Splitter.module.css';

export interface SplitterProps {
  label: string;
  size: number;
  min: number;
  max: number;
  /** Which side of the handle the sized panel lies on. */
  side: 'before' | 'after';
  onSize(size: number): void;
}

/** A handle between two panels: drag it, or focus it and use the arrow keys. */
export function Splitter({ label, size, min, max, side, onSize }: SplitterProps) {
  const [dragging, setDragging] = useState(false);
  const sign = side === 'before' ? 1 : -1;
  const set = (next: number): void => onSize(Math.round(Math.min(max, Math.max(min, next))));
  const onPointerDown = (event: PointerEvent<HTMLDivElement>): void => {
    const from = event.clientX;
    const target = event.currentTarget;
    target.setPointerCapture(event.pointerId);
    setDragging(true);
    const move = (e: globalThis.PointerEvent): void => set(size + sign * (e.clientX - from));
    const end = (): void => {
      setDragging(false);
      target.removeEventListener('pointermove', move);
    };
    target.addEventListener('pointermove', move);
    target.addEventListener('lostpointercapture', end, { once: true });
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const step = event.shiftKey ? 48 : 12;
    if (event.key === 'ArrowLeft') set(size - sign * step);
    else if (event.key === 'ArrowRight') set(size + sign * step);
    else if (event.key === 'Home') set(min);
    else if (event.key === 'End') set(max);
    else return;
    event.preventDefault();
  };
  return (
    // biome-ignore lint/a11y/useSemanticElements: a focusable separator with a value is ARIA's window splitter; hr cannot be one
    <div
      role="separator"
      aria-orientation="vertical"
      aria-label={label}
      aria-valuenow={size}
      aria-valuemin={min}
      aria-valuemax={max}
      tabIndex={0}
      className={styles.splitter}
      data-dragging={dragging}
      onPointerDown={onPointerDown}
      onKeyDown={onKeyDown}
    />
  );
}
