import { fireEvent, render, screen, waitFor } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { useState } from 'react';
import { describe, expect, it, vi } from 'vitest';
import { book, trade } from '@/test/builders';
import { Button, Kbd } from './Button';
import { Drawer } from './Drawer';
import { Freshness } from './Freshness';
import { GapMark } from './GapMark';
import { Ladder } from './Ladder';
import { groupLevels, groupSteps } from './ladder';
import { ModeBadge, ModeLine, modeWords } from './ModeBadge';
import { QualityBadge } from './QualityBadge';
import { Segmented } from './Segmented';
import { Sparkline, sparkPath } from './Sparkline';
import { Splitter } from './Splitter';
import { Tape } from './Tape';
import { WickIcon } from './WickIcon';

function Sized() {
  const [size, setSize] = useState(290);
  return <Splitter label="Width" size={size} min={280} max={300} side="before" onSize={setSize} />;
}

function Opens() {
  const [open, setOpen] = useState(false);
  return (
    <>
      <Button onClick={() => setOpen(true)}>Book</Button>
      <Drawer title="Order book" side="right" open={open} onOpenChange={setOpen}>
        <p>levels</p>
      </Drawer>
    </>
  );
}

describe('mode badge', () => {
  it.each([
    ['simulated', 'SIMULATED', 'simulated'],
    ['replay', 'SIMULATED', 'simulated'],
    ['live', 'LIVE DATA', 'data'],
  ] as const)('%s says %s with its wick', (mode, word, wick) => {
    const { container } = render(<ModeBadge mode={mode} detail="demo market" />);
    expect(screen.getByTestId('mode-badge')).toHaveTextContent(word);
    expect(container.querySelector('[data-wick]')).toHaveAttribute('data-wick', wick);
  });

  it('never lights a flame where nothing is traded', () => {
    for (const mode of ['simulated', 'replay', 'live'] as const)
      expect(['simulated', 'data']).toContain(modeWords(mode).wick);
    const { container } = render(<WickIcon wick="data" />);
    expect(container.querySelector('[fill="currentColor"]')).toBeNull();
  });

  it('draws the top line of its mode', () => {
    render(<ModeLine mode="replay" />);
    expect(screen.getByTestId('mode-line')).toHaveAttribute('data-mode', 'simulated');
  });
});

describe('segmented control', () => {
  it('moves by arrow keys, chooses by Enter and never leaves nothing chosen', async () => {
    const user = userEvent.setup();
    const change = vi.fn();
    const options = ['1m', '5m', '15m'].map((value) => ({ value, label: value }));
    render(<Segmented label="Timeframe" options={options} value="5m" onChange={change} />);
    await user.tab();
    expect(screen.getByRole('radio', { name: '5m' })).toHaveFocus();
    await user.keyboard('{ArrowRight}{Enter}');
    expect(change).toHaveBeenLastCalledWith('15m');
    change.mockClear();
    await user.click(screen.getByRole('radio', { name: '5m' }));
    expect(change).not.toHaveBeenCalled();
  });
});

describe('button', () => {
  it('submits nothing by accident and shows its key', () => {
    render(
      <Button>
        Retry <Kbd>R</Kbd>
      </Button>,
    );
    expect(screen.getByRole('button')).toHaveAttribute('type', 'button');
    expect(screen.getByText('R').tagName).toBe('KBD');
  });
});

describe('sparkline', () => {
  it('breaks its line where a value is missing', () => {
    expect(sparkPath([1, 2, null, 3, 4], 40, 10).line.match(/M/g)).toHaveLength(2);
    expect(sparkPath([1, 2, 3], 40, 10).line.match(/M/g)).toHaveLength(1);
  });

  it('draws nothing of one value, and a level line of equal ones', () => {
    expect(sparkPath([1], 40, 10).line).toBe('');
    expect(sparkPath([5, 5, 5], 40, 10).line).toMatch(/^M0.0,([\d.]+)L20.0,\1L40.0,\1$/);
  });

  it('is a picture beside a number, so it is silent', () => {
    const { container } = render(<Sparkline values={[1, 2]} tone="quiet" />);
    expect(container.querySelector('svg')).toHaveAttribute('aria-hidden', 'true');
  });
});

describe('chips', () => {
  it('tells how old a stale value is', () => {
    render(<Freshness ageMs={134_000} />);
    expect(screen.getByTitle('No update for 2m 14s')).toHaveTextContent('stale, 2m 14s');
  });

  it('rounds quality down, so that 100.0 means all of it', () => {
    const quality = {
      score: 99.96,
      expected: 100,
      present: 99,
      final: 99,
      repaired: 2,
      gapped: 1,
      gaps: 1,
      late: 0,
      duplicates: 0,
    };
    render(<QualityBadge quality={quality} />);
    expect(screen.getByTestId('quality-badge')).toHaveTextContent('Quality 99.9');
    expect(screen.getByTestId('quality-badge')).toHaveTextContent('99 of 100 candles present, 2 repaired, 1 with gaps');
  });

  it('words a gap with its proof', () => {
    render(<GapMark title="Venue halted 4 h 44 min" detail="0 trades, verified" tone="settled" />);
    expect(screen.getByText('0 trades, verified')).toBeInTheDocument();
  });
});

describe('ladder', () => {
  it('groups bids down and asks up, and sums from the spread outwards', () => {
    expect(groupLevels(book().bids, 0.5, 'bid')).toEqual([
      { price: 99.5, size: 3, sum: 3 },
      { price: 99, size: 3, sum: 6 },
    ]);
    expect(groupLevels(book().asks, 0.5, 'ask')).toEqual([
      { price: 100.5, size: 3, sum: 3 },
      { price: 101, size: 3, sum: 6 },
    ]);
  });

  it('keeps a price that lies on its own tick', () => {
    const levels = [53222.61, 53222.6, 53222.59].map((price) => [price, 1]);
    expect(groupLevels(levels, 0.01, 'bid').map((level) => level.price.toFixed(2))).toEqual([
      '53222.61',
      '53222.60',
      '53222.59',
    ]);
  });

  it('offers steps that leave some of the book to see', () => {
    expect(groupSteps(0.1, book().asks)).toEqual([0.1]);
    const deep = Array.from({ length: 20 }, (_, i) => [100 + i, 1]);
    expect(groupSteps(1, deep)).toEqual([1, 2, 5]);
  });

  it('shows spread and both sides, and greys a book whose sequence broke', () => {
    const { rerender } = render(<Ladder book={book()} decimals={1} step={0.1} base="BTC" last={100} direction="up" />);
    const table = screen.getByRole('table', { name: 'Order book' });
    expect(table).toHaveTextContent('spread 0.2 · 19.98 bps');
    expect(screen.getByRole('rowgroup', { name: 'Asks' })).toHaveTextContent('100.1');
    expect(table).toHaveAttribute('data-broken', 'false');
    rerender(
      <Ladder book={book({ in_sequence: false })} decimals={1} step={0.1} base="BTC" last={100} direction="up" />,
    );
    expect(table).toHaveAttribute('data-broken', 'true');
  });

  it('survives an empty side', () => {
    render(<Ladder book={book({ asks: [] })} decimals={1} step={0.1} base="BTC" last={null} direction={null} />);
    expect(screen.queryByText(/spread/)).toBeNull();
  });
});

describe('tape', () => {
  it('keeps its rows in place when trades come, so that nothing shifts', () => {
    const { rerender } = render(<Tape trades={[trade(2), trade(1)]} decimals={2} />);
    const first = screen.getAllByRole('row')[1];
    rerender(<Tape trades={[trade(3, { side: 'sell', price: 99 }), trade(2)]} decimals={2} />);
    expect(screen.getAllByRole('row')[1]).toBe(first);
    expect(first).toHaveTextContent('sold at 99.00');
  });
});

describe('splitter', () => {
  it('sizes by arrow keys within its bounds', () => {
    render(<Sized />);
    const handle = screen.getByRole('separator', { name: 'Width' });
    fireEvent.keyDown(handle, { key: 'ArrowRight' });
    expect(handle).toHaveAttribute('aria-valuenow', '300');
    fireEvent.keyDown(handle, { key: 'Home' });
    expect(handle).toHaveAttribute('aria-valuenow', '280');
  });
});

describe('drawer', () => {
  it('takes focus, closes by Escape and gives focus back', async () => {
    const user = userEvent.setup();
    render(<Opens />);
    await user.click(screen.getByRole('button', { name: 'Book' }));
    const dialog = screen.getByRole('dialog', { name: 'Order book' });
    expect(dialog).toContainElement(document.activeElement as HTMLElement);
    await user.keyboard('{Escape}');
    expect(screen.queryByRole('dialog')).toBeNull();
    await waitFor(() => expect(screen.getByRole('button', { name: 'Book' })).toHaveFocus());
  });
});
