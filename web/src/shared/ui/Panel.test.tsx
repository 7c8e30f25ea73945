import { render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it, vi } from 'vitest';
import { Panel, type PanelState, repairedLabel } from './Panel';

const show = (state: PanelState) =>
  render(
    <Panel title="Price" state={state}>
      <p>53,222.61</p>
    </Panel>,
  );

describe('a panel', () => {
  it('shows its content and nothing else while live', () => {
    show({ kind: 'live' });
    expect(screen.getByRole('region', { name: 'Price' })).toHaveTextContent(/^Price53,222.61$/);
  });

  it('is busy with a skeleton, not with old words, while loading', () => {
    show({ kind: 'loading' });
    expect(screen.getByRole('region')).toHaveAttribute('aria-busy', 'true');
    expect(screen.getByTestId('skeleton')).toBeInTheDocument();
    expect(screen.queryByText('53,222.61')).toBeNull();
  });

  it('leaves content that is dear to make in its place while loading, under the skeleton', () => {
    const panel = (kind: 'loading' | 'live') => (
      <Panel title="Price" state={{ kind }} holds>
        <p>53,222.61</p>
      </Panel>
    );
    const { rerender } = render(panel('live'));
    const content = screen.getByText('53,222.61');
    rerender(panel('loading'));
    expect(screen.getByRole('region')).toHaveAttribute('aria-busy', 'true');
    expect(screen.getByTestId('skeleton')).toHaveAttribute('data-over', 'true');
    rerender(panel('live'));
    expect(screen.getByText('53,222.61')).toBe(content);
    expect(screen.queryByTestId('skeleton')).toBeNull();
  });

  it('offers a way on when empty', async () => {
    const run = vi.fn();
    show({ kind: 'empty', message: 'No candles for this symbol yet', action: { label: 'Load history', run } });
    await userEvent.click(screen.getByRole('button', { name: 'Load history' }));
    expect(run).toHaveBeenCalledTimes(1);
  });

  it('names reason code and correlation id of an error, retries and copies', async () => {
    const user = userEvent.setup();
    const retry = vi.fn();
    show({
      kind: 'error',
      message: 'History did not answer in 5 s',
      code: 'HISTORY_TIMEOUT',
      correlationId: '7f3a',
      retry,
    });
    expect(screen.getByRole('alert')).toHaveTextContent('HISTORY_TIMEOUT · 7f3a');
    await user.click(screen.getByRole('button', { name: 'Retry' }));
    expect(retry).toHaveBeenCalledTimes(1);
    await user.click(screen.getByRole('button', { name: 'Copy details' }));
    expect(await navigator.clipboard.readText()).toBe('History did not answer in 5 s · HISTORY_TIMEOUT · 7f3a');
    expect(screen.getByRole('button', { name: 'Copied' })).toBeInTheDocument();
  });

  it('keeps the last value when stale and tells its age', () => {
    show({ kind: 'stale', ageMs: 134_000, lastAt: Date.UTC(2026, 2, 4, 10, 5, 7) });
    expect(screen.getByText('53,222.61')).toBeInTheDocument();
    expect(screen.getByRole('status')).toHaveTextContent('stale 2m 14s, last at 10:05:07');
    expect(screen.getByRole('region')).toHaveAttribute('data-state', 'stale');
  });

  it('keeps the last value when offline, tells since when and counts down', () => {
    vi.useFakeTimers({ now: 1_000_000 });
    try {
      show({ kind: 'offline', asOf: Date.UTC(2026, 2, 4, 10, 7, 21), retryAt: 1_004_000 });
      expect(screen.getByRole('status')).toHaveTextContent('offline, retry in 4 s');
      expect(screen.getByRole('status')).toHaveTextContent('as of 10:07:21');
      expect(screen.getByText('53,222.61')).toBeInTheDocument();
    } finally {
      vi.useRealTimers();
    }
  });

  it('labels a gap inside and what was repaired inside', () => {
    const { unmount } = show({ kind: 'gap', label: 'Venue halt 4 h 44 min, verified empty', settled: true });
    expect(screen.getByText('Venue halt 4 h 44 min, verified empty')).toBeInTheDocument();
    unmount();
    show({ kind: 'repaired', label: repairedLabel(6) });
    expect(screen.getByText('6 candles repaired, marked below')).toBeInTheDocument();
  });
});
