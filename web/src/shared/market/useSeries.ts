import { useQueryClient } from '@tanstack/react-query';
import { useEffect, useMemo, useSyncExternalStore } from 'react';
import type { Timeframe } from '../format/market';
import { SeriesFeed, type SeriesState } from './seriesFeed';

/** The live series of one market; it starts with the component and ends with it. */
export function useSeries(
  exchange: string,
  symbol: string,
  timeframe: Timeframe,
  indicatorIds: readonly string[],
): { feed: SeriesFeed; state: SeriesState } {
  const client = useQueryClient();
  // biome-ignore lint/correctness/useExhaustiveDependencies: other indicators are no other series; they are set below
  const feed = useMemo(
    () => new SeriesFeed(client, { exchange, symbol, timeframe }, indicatorIds),
    [client, exchange, symbol, timeframe],
  );
  useEffect(() => {
    feed.start();
    return () => feed.stop();
  }, [feed]);
  const ids = indicatorIds.join(',');
  useEffect(() => feed.setIndicators(ids === '' ? [] : ids.split(',')), [feed, ids]);
  const state = useSyncExternalStore(feed.subscribe, feed.snapshot);
  return { feed, state };
}
