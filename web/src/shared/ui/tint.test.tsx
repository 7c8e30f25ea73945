import { render, screen } from '@testing-library/react';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { NumberCell } from './NumberCell';
import { STEPS } from './tint';

const cell = () => screen.getByText(/^\d+$/);
const show = (value: number, direction: 'up' | 'down' | null) => (
  <NumberCell text={String(value)} value={value} direction={direction} chars={8} />
);

describe('a cell whose value moves', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('is tinted, fades step by step and is plain after 600 ms', () => {
    const { rerender } = render(show(1, null));
    expect(cell()).toHaveStyle({ minWidth: '8ch' });
    expect(cell()).not.toHaveAttribute('data-tint');
    rerender(show(2, 'up'));
    const seen = [cell().dataset.tint];
    for (let i = 0; i < STEPS; i += 1) {
      vi.advanceTimersByTime(150);
      seen.push(cell().dataset.tint);
    }
    expect(seen).toEqual(['up-4', 'up-3', 'up-2', 'up-1', undefined]);
    expect(vi.getTimerCount()).toBe(0);
    rerender(show(2, 'up'));
    expect(cell()).not.toHaveAttribute('data-tint');
  });

  it('takes the newest direction, from the full tint', () => {
    const { rerender } = render(show(5, null));
    rerender(show(6, 'up'));
    vi.advanceTimersByTime(300);
    rerender(show(4, 'down'));
    expect(cell()).toHaveAttribute('data-tint', `down-${STEPS}`);
  });

  it('leaves no timer behind when it leaves the page', () => {
    const { rerender, unmount } = render(show(5, null));
    rerender(show(6, 'up'));
    unmount();
    vi.advanceTimersByTime(150);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('stays plain for those who asked for less motion', () => {
    vi.stubGlobal('matchMedia', () => ({ matches: true }));
    const { rerender } = render(show(5, null));
    rerender(show(6, 'up'));
    expect(cell()).not.toHaveAttribute('data-tint');
    vi.unstubAllGlobals();
  });
});
