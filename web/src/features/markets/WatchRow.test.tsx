import { act, render, screen } from '@testing-library/react';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { platformClock } from '@/shared/market/platformClock';
import { ticks } from '@/shared/market/tickFeed';
import { symbol, T0, ticker } from '@/test/builders';
import { WatchRow } from './WatchRow';

const frame = () => act(() => vi.advanceTimersByTime(20));

describe('a row of the watchlist', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['requestAnimationFrame', 'setTimeout', 'setInterval', 'clearInterval'] });
  });
  afterEach(() => vi.useRealTimers());

  const button = () => document.querySelector<HTMLElement>('[data-symbol]') as HTMLElement;
  const row = (name: string, offline = false) => {
    const props = { info: symbol({ symbol: name, price_tick: '0.01' }), selected: false, onSelect: vi.fn() };
    const view = render(<WatchRow {...props} offline={offline} />);
    return { ...view, again: (cut: boolean) => view.rerender(<WatchRow {...props} offline={cut} />) };
  };

  it('shows each price and change as it comes, tinted by its direction', () => {
    row('AAA-USDT');
    expect(button()).toHaveTextContent('AAA––');
    ticks.apply([ticker({ symbol: 'AAA-USDT', last: 1234.5, change_pct_24h: 1.5, ts: T0 })]);
    frame();
    expect(button()).toHaveTextContent('AAA1,234.50+1.50%');
    ticks.apply([ticker({ symbol: 'AAA-USDT', last: 1200, change_pct_24h: -1, ts: T0 + 100 })]);
    frame();
    expect(button()).toHaveTextContent('AAA1,200.00\u22121.00%');
    expect(screen.getByText('1,200.00')).toHaveAttribute('data-tint', 'down-4');
    expect(screen.getByText('\u22121.00%')).toHaveAttribute('data-tone', 'down');
  });

  it('keeps its last words, greyed, while the page is cut off, and goes on from there', () => {
    const { again } = row('BBB-USDT');
    ticks.apply([ticker({ symbol: 'BBB-USDT', last: 7, change_pct_24h: 2, ts: T0 })]);
    frame();
    again(true);
    expect(button()).toHaveAttribute('data-stale', 'true');
    expect(screen.getByText('+2.00%')).toHaveAttribute('data-tone', 'quiet');
    expect(button()).toHaveTextContent('BBB7.00+2.00%');
    again(false);
    ticks.apply([ticker({ symbol: 'BBB-USDT', last: 8, change_pct_24h: 3, ts: T0 + 100 })]);
    frame();
    expect(button()).toHaveTextContent('BBB8.00+3.00%');
    expect(screen.getByText('+3.00%')).toHaveAttribute('data-tone', 'up');
  });

  it('tells the age of a price that is too old in place of its change, until the next comes', () => {
    row('CCC-USDT');
    const now = vi.spyOn(platformClock, 'now').mockReturnValue(T0 + 1);
    ticks.apply([ticker({ symbol: 'CCC-USDT', last: 7, change_pct_24h: 2, ts: T0 })]);
    frame();
    now.mockReturnValue(T0 + 134_000);
    act(() => vi.advanceTimersByTime(1000));
    expect(button()).toHaveTextContent('CCC7.00stale, 2m 14s');
    expect(button()).toHaveAttribute('data-stale', 'true');
    ticks.apply([ticker({ symbol: 'CCC-USDT', last: 9, change_pct_24h: 4, ts: T0 + 134_000 })]);
    frame();
    expect(button()).toHaveTextContent('CCC9.00+4.00%');
    now.mockRestore();
  });
});
