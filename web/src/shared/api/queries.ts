import { queryOptions } from '@tanstack/react-query';
import type { Timeframe } from '../format/market';
import { api, ask } from './client';
import type { Candle } from './types';

/** Candles of one page; also the size of a socket's snapshot. */
export const PAGE = 500;

export interface MarketKey {
  exchange: string;
  symbol: string;
}
export interface SeriesKey extends MarketKey {
  timeframe: Timeframe;
}

export const statusQuery = () =>
  queryOptions({
    queryKey: ['status'],
    queryFn: ({ signal }) =>
      ask(api.GET('/api/v1/status', { signal: AbortSignal.any([signal, AbortSignal.timeout(3000)]) })),
    refetchInterval: 1000,
    refetchIntervalInBackground: false,
    retry: false,
    staleTime: 0,
  });

export const symbolsQuery = () =>
  queryOptions({
    queryKey: ['symbols'],
    queryFn: async ({ signal }) =>
      (await ask(api.GET('/symbols', { signal }))).symbols.filter((s) => s.status !== 'removed'),
    // Right after the start the list may still be empty.
    refetchInterval: (query) => (query.state.data?.length ? 15_000 : 1000),
    staleTime: 10_000,
  });

export const tickersQuery = () =>
  queryOptions({
    queryKey: ['tickers'],
    queryFn: async ({ signal }) => (await ask(api.GET('/tickers', { signal }))).tickers,
    // Right after the start there may be no list, or no history behind it, for some seconds.
    refetchInterval: ({ state: { data = [] } }) =>
      data.length === 0 ? 1000 : data.some((ticker) => (ticker.sparkline?.length ?? 0) < 2) ? 5000 : 60_000,
    staleTime: 30_000,
  });

/** One page of candles: the newest, or the one that ends (exclusive) at `end`. */
export const candlesPageQuery = ({ exchange, symbol, timeframe }: SeriesKey, end?: number) =>
  queryOptions({
    queryKey: ['ohlcv', exchange, symbol, timeframe, end ?? 'newest'],
    queryFn: async ({ signal }): Promise<Candle[]> => {
      const query = end === undefined ? { limit: PAGE } : { limit: PAGE, end };
      const path = { exchange, symbol, timeframe };
      return (await ask(api.GET('/ohlcv/{exchange}/{symbol}/{timeframe}', { signal, params: { path, query } })))
        .candles;
    },
    // Long enough for one request to serve who asked ahead and the chart itself.
    staleTime: end === undefined ? 2000 : 0,
    gcTime: end === undefined ? 120_000 : 30_000,
    retry: 1,
  });

export const indicatorsQuery = (key: SeriesKey, series: string[], start: number, limit: number) =>
  queryOptions({
    queryKey: ['indicators', key.exchange, key.symbol, key.timeframe, series.join(','), start, limit],
    queryFn: ({ signal }) => {
      const path = { exchange: key.exchange, symbol: key.symbol, timeframe: key.timeframe };
      const query = { series: series.join(','), start, limit };
      return ask(api.GET('/indicators/{exchange}/{symbol}/{timeframe}', { signal, params: { path, query } }));
    },
    staleTime: 0,
    gcTime: 0,
    retry: 1,
  });

export const catalogueQuery = () =>
  queryOptions({
    queryKey: ['indicator-catalogue'],
    queryFn: async ({ signal }) => (await ask(api.GET('/indicators/catalogue', { signal }))).indicators,
    staleTime: Number.POSITIVE_INFINITY,
  });

export const gapsQuery = ({ exchange, symbol }: MarketKey, start: number) =>
  queryOptions({
    queryKey: ['gaps', exchange, symbol, start],
    queryFn: async ({ signal }) => {
      const query = { exchange, symbol, start, state: 'all' as const };
      return (await ask(api.GET('/gaps', { signal, params: { query } }))).gaps;
    },
    refetchInterval: 5000,
  });

export const qualityQuery = ({ exchange, symbol }: MarketKey) =>
  queryOptions({
    queryKey: ['quality', exchange, symbol],
    queryFn: ({ signal }) =>
      ask(api.GET('/quality/{exchange}/{symbol}', { signal, params: { path: { exchange, symbol } } })),
    refetchInterval: 30_000,
    staleTime: 20_000,
  });

export const bookQuery = ({ exchange, symbol }: MarketKey) =>
  queryOptions({
    queryKey: ['book', exchange, symbol],
    queryFn: ({ signal }) =>
      ask(api.GET('/book/{exchange}/{symbol}', { signal, params: { path: { exchange, symbol } } })),
    staleTime: 1000,
  });
