import { QueryClient } from '@tanstack/react-query';
import { HttpResponse, http } from 'msw';
import { setupServer } from 'msw/node';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { candle, MINUTE, minutes, T0, ticker } from '@/test/builders';
import { candlesPageQuery } from '../api/queries';
import { parseIndicators, writeIndicators } from './defaults';
import { PlatformClock } from './platformClock';
import { askAhead, SeriesFeed } from './seriesFeed';
import { ageOf } from './staleness';

const server = setupServer();
beforeAll(() => server.listen({ onUnhandledRequest: 'error' }));
afterEach(() => server.resetHandlers());
afterAll(() => server.close());

class Quiet {
  static instances: Quiet[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: (() => void) | null = null;
  constructor(readonly url: string) {
    Quiet.instances.push(this);
  }
  close(): void {}
}

describe('series feed', () => {
  let feed: SeriesFeed;
  const asked: string[] = [];
  beforeEach(() => {
    asked.length = 0;
    Quiet.instances.length = 0;
    vi.stubGlobal('WebSocket', Quiet);
    feed = new SeriesFeed(new QueryClient({ defaultOptions: { queries: { retry: false, networkMode: 'always' } } }), {
      exchange: 'binance',
      symbol: 'BTC-USDT',
      timeframe: '1m',
    });
    server.use(
      http.get('*/ohlcv/binance/BTC-USDT/1m', ({ request }) => {
        const end = new URL(request.url).searchParams.get('end');
        asked.push(`ohlcv ${end ?? 'newest'}`);
        const all = minutes(20);
        const page = end === null ? all.slice(10) : all.filter((c) => c.open_time < Number(end)).slice(-10);
        return HttpResponse.json({
          exchange: 'binance',
          symbol: 'BTC-USDT',
          timeframe: '1m',
          candles: page,
          next: null,
        });
      }),
      http.get('*/indicators/binance/BTC-USDT/1m', ({ request }) => {
        const query = new URL(request.url).searchParams;
        const start = Number(query.get('start'));
        asked.push(`indicators ${query.get('series')} ${(start - T0) / MINUTE}`);
        const times = minutes(20)
          .map((c) => c.open_time)
          .filter((t) => t >= start);
        const series = [
          {
            id: 'ema:21',
            name: 'EMA 21',
            pane: 'price',
            output: 'value',
            values: times.map(() => 1),
            look_back: 21,
            line: 'line',
            levels: [],
          },
        ];
        return HttpResponse.json({
          exchange: 'binance',
          symbol: 'BTC-USDT',
          timeframe: '1m',
          open_times: times,
          series,
        });
      }),
    );
  });
  afterEach(() => feed.stop());

  it('shows the newest page, then older ones on demand, until there are none', async () => {
    feed.start();
    expect(feed.state.phase).toBe('loading');
    await vi.waitFor(() => expect(feed.state.phase).toBe('ready'));
    expect(feed.book.candles).toHaveLength(10);
    await feed.loadOlder();
    expect(feed.book.first?.open_time).toBe(T0);
    await feed.loadOlder();
    await feed.loadOlder();
    expect(asked).toEqual(['ohlcv newest', `ohlcv ${T0 + 10 * MINUTE}`, `ohlcv ${T0}`]);
  });

  it('asks the server for indicators of the pages it shows', async () => {
    feed.setIndicators(['ema:21']);
    feed.start();
    await vi.waitFor(() => expect(feed.indicators.all[0]?.values.size).toBe(10));
    await feed.loadOlder();
    expect(feed.indicators.all[0]?.values.size).toBe(20);
    expect(asked).toContain('indicators ema:21 0');
    feed.setIndicators([]);
    expect(feed.indicators.all).toEqual([]);
  });

  it('grows with the socket and goes offline with it, keeping its candles', async () => {
    feed.start();
    await vi.waitFor(() => expect(feed.state.phase).toBe('ready'));
    const socket = Quiet.instances[0] as Quiet;
    expect(socket.url).toContain('/ws/ohlcv/binance/BTC-USDT/1m');
    const open = candle({ open_time: T0 + 20 * MINUTE, final: false, close: 77 });
    socket.onmessage?.({ data: JSON.stringify({ type: 'snapshot', id: 'x', ts: 0, data: [open] }) });
    expect(feed.book.last?.close).toBe(77);
    expect(feed.state.link.kind).toBe('open');
    socket.onclose?.();
    expect(feed.state.link.kind).toBe('offline');
    expect(feed.book.candles).toHaveLength(11);
  });

  it('stands at once on a page that was asked for ahead, and asks for it no second time', async () => {
    const client = new QueryClient();
    const key = { exchange: 'binance', symbol: 'BTC-USDT', timeframe: '1m' } as const;
    askAhead(client, key);
    askAhead(client, key);
    await vi.waitFor(() => expect(client.isFetching()).toBe(0));
    feed = new SeriesFeed(client, key);
    expect(feed.state.phase).toBe('ready');
    feed.start();
    await vi.waitFor(() => expect(feed.book.candles).toHaveLength(10));
    expect(asked).toEqual(['ohlcv newest']);
  });

  it('starts again where the newest page does not touch what it held, and draws no gap that never was', async () => {
    const client = new QueryClient();
    const key = { exchange: 'binance', symbol: 'BTC-USDT', timeframe: '1m' } as const;
    client.setQueryData(candlesPageQuery(key).queryKey, minutes(5), { updatedAt: Date.now() - 5_000 });
    feed = new SeriesFeed(client, key);
    expect(feed.book.candles).toHaveLength(5);
    feed.start();
    await vi.waitFor(() => expect(feed.book.first?.open_time).toBe(T0 + 10 * MINUTE));
    expect(feed.book.candles).toHaveLength(10);
  });

  it('gives reason and correlation id of a refusal, and recovers by retry', async () => {
    server.use(
      http.get(
        '*/ohlcv/binance/BTC-USDT/1m',
        () =>
          HttpResponse.json(
            {
              type: 'about:blank',
              title: 'Unknown',
              status: 404,
              code: 'UNKNOWN_SYMBOL',
              detail: "was 'X'",
              correlation_id: 'c-1',
            },
            { status: 404 },
          ),
        { once: true },
      ),
    );
    feed = new SeriesFeed(new QueryClient(), { exchange: 'binance', symbol: 'BTC-USDT', timeframe: '1m' });
    server.use(
      http.get('*/ohlcv/binance/BTC-USDT/1m', () =>
        HttpResponse.json({ code: 'UNKNOWN_SYMBOL', detail: "was 'X'", correlation_id: 'c-1' }, { status: 404 }),
      ),
    );
    feed.start();
    await vi.waitFor(() => expect(feed.state.phase).toBe('error'), { timeout: 4000 });
    expect(feed.state.error).toMatchObject({ code: 'UNKNOWN_SYMBOL', correlationId: 'c-1', message: "was 'X'" });
    server.use(http.get('*/ohlcv/binance/BTC-USDT/1m', () => HttpResponse.json({ candles: minutes(2) })));
    feed.retry();
    await vi.waitFor(() => expect(feed.state.phase).toBe('ready'));
  });
});

describe('platform clock', () => {
  it('runs at the pace of a replay', () => {
    let local = 1000;
    const clock = new PlatformClock(() => local);
    clock.observe(T0);
    local += 1000;
    clock.observe(T0 + 60_000);
    local += 500;
    expect(clock.now()).toBe(T0 + 90_000);
    expect(clock.pace).toBe(60);
  });

  it('takes jitter for what it is, and invents no more than five seconds', () => {
    let local = 1000;
    const clock = new PlatformClock(() => local);
    expect(clock.now()).toBe(0);
    clock.observe(T0);
    local += 1000;
    clock.observe(T0 + 1100);
    expect(clock.pace).toBe(1);
    local += 60_000;
    expect(clock.now()).toBe(T0 + 1100 + 5000);
  });
});

describe('age of a tick', () => {
  const tick = { ...ticker(), direction: null, staleAfter: 15_000 };
  it('is stale beyond its limit, in platform time', () => {
    expect(ageOf(tick, T0 + 14_000, 1)).toEqual({ age: 14_000, stale: false });
    expect(ageOf(tick, T0 + 16_000, 1)).toEqual({ age: 16_000, stale: true });
  });
  it('allows a fast replay its own pace', () => {
    expect(ageOf(tick, T0 + 200_000, 60)?.stale).toBe(false);
    expect(ageOf(tick, T0 + 301_000, 60)?.stale).toBe(true);
  });
  it('says nothing while a clock is unknown', () => {
    expect(ageOf(tick, 0)).toBeNull();
    expect(ageOf(undefined, T0)).toBeNull();
  });
});

describe('indicators in the URL', () => {
  it('are the default when absent, none when empty, and never nonsense', () => {
    expect(parseIndicators(undefined)).toContain('ema:21');
    expect(parseIndicators('')).toEqual([]);
    expect(parseIndicators('ema:21,ema:21,<x>,rsi:14')).toEqual(['ema:21', 'rsi:14']);
    expect(writeIndicators(parseIndicators(undefined))).toBeUndefined();
    expect(writeIndicators([])).toBe('');
  });
});
