import { useEffect, useMemo, useState, useSyncExternalStore } from 'react';
import type { Book, Trade } from '../api/types';
import { type LinkState, ResumingSocket } from '../net/socket';
import { frames } from '../ticks/frame';
import { TradeRing } from '../ticks/ring';

/** A value that many messages a second may replace; readers hear of the newest once a frame. */
class Latest<T> {
  private value: T | null = null;
  private next: T | null = null;
  private readonly listeners = new Set<() => void>();
  private readonly flush = (): void => {
    this.value = this.next;
    for (const listener of this.listeners) listener();
  };

  set(value: T): void {
    this.next = value;
    frames.request(this.flush);
  }

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  snapshot = (): T | null => this.value;
}

/** The newest top of the order book, and the state of its socket. */
export function useBook(exchange: string, symbol: string): { book: Book | null; link: LinkState } {
  const [link, setLink] = useState<LinkState>({ kind: 'connecting' });
  // biome-ignore lint/correctness/useExhaustiveDependencies: another market is another book
  const latest = useMemo(() => new Latest<Book>(), [exchange, symbol]);
  useEffect(() => {
    const socket = new ResumingSocket<Book>(`/ws/book/${exchange}/${symbol}`, {
      onData: (book) => latest.set(book),
      onState: setLink,
    });
    return () => socket.close();
  }, [exchange, symbol, latest]);
  return { book: useSyncExternalStore(latest.subscribe, latest.snapshot), link };
}

/** The newest trades of a market, newest first. */
export function useTrades(
  exchange: string,
  symbol: string,
): { ring: TradeRing; trades: readonly Trade[]; link: LinkState } {
  const [link, setLink] = useState<LinkState>({ kind: 'connecting' });
  // biome-ignore lint/correctness/useExhaustiveDependencies: another market is another tape
  const ring = useMemo(() => new TradeRing(), [exchange, symbol]);
  useEffect(() => {
    const socket = new ResumingSocket<Trade[]>(`/ws/trades/${exchange}/${symbol}`, {
      onData: (trades) => ring.push(trades),
      onState: setLink,
    });
    return () => socket.close();
  }, [exchange, symbol, ring]);
  return { ring, trades: useSyncExternalStore(ring.subscribe, ring.snapshot), link };
}
