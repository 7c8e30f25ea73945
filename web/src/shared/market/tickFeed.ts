import { useQuery } from '@tanstack/react-query';
import { useCallback, useEffect, useSyncExternalStore } from 'react';
import { tickersQuery } from '../api/queries';
import type { Ticker } from '../api/types';
import { type LinkState, ResumingSocket } from '../net/socket';
import { type Tick, TickStore, tickKey } from '../ticks/store';

/** The page's one tick store and the state of the socket that fills it. */
export const ticks = new TickStore();

let link: LinkState = { kind: 'connecting' };
const linkListeners = new Set<() => void>();

function setLink(next: LinkState): void {
  link = next;
  for (const listener of linkListeners) listener();
}

const subscribeLink = (listener: () => void): (() => void) => {
  linkListeners.add(listener);
  return () => linkListeners.delete(listener);
};

export function useTickLink(): LinkState {
  return useSyncExternalStore(subscribeLink, () => link);
}

/** Mounted once by the shell: fills the store from REST (with sparklines), then from the socket. */
export function useTickFeed(): void {
  const { data } = useQuery(tickersQuery());
  useEffect(() => {
    if (data) ticks.apply(data);
  }, [data]);
  // A changed list of symbols needs a new subscription; its text is the dependency.
  const symbols = data?.map((ticker) => ticker.symbol).join(',') ?? '';
  useEffect(() => {
    if (symbols === '') return;
    const socket = new ResumingSocket<Ticker[]>(`/ws/tickers?symbols=${symbols}`, {
      onData: (tickers) => ticks.apply(tickers),
      onState: setLink,
    });
    return () => socket.close();
  }, [symbols]);
}

/** One row's tick; re-renders only when this symbol changed, at most once a frame. */
export function useTick(exchange: string, symbol: string): Tick | undefined {
  const key = tickKey(exchange, symbol);
  const subscribe = useCallback((listener: () => void) => ticks.subscribe(key, listener), [key]);
  return useSyncExternalStore(subscribe, () => ticks.get(key));
}
