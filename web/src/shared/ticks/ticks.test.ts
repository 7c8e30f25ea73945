import { describe, expect, it, vi } from 'vitest';
import { manualFrames, T0, ticker, trade } from '@/test/builders';
import { createFrameLoop } from './frame';
import { TradeRing } from './ring';
import { SYMBOLS_A_FRAME, TickStore } from './store';

describe('frame loop', () => {
  it('asks for one frame however much work is queued, and runs each work once', () => {
    const asked: (() => void)[] = [];
    const loop = createFrameLoop({ onFrame: (run) => asked.push(run) });
    const work = vi.fn();
    const other = vi.fn();
    loop.request(work);
    loop.request(work);
    loop.request(other);
    expect(asked).toHaveLength(1);
    asked[0]?.();
    expect(work).toHaveBeenCalledTimes(1);
    expect(other).toHaveBeenCalledTimes(1);
    loop.request(work);
    expect(asked).toHaveLength(2);
  });
});

describe('tick store', () => {
  it('tells a subscriber once a frame, and only of its own symbol', () => {
    const frames = manualFrames();
    const store = new TickStore(frames);
    const btc = vi.fn();
    const eth = vi.fn();
    store.subscribe('binance:BTC-USDT', btc);
    store.subscribe('binance:ETH-USDT', eth);
    for (let i = 0; i < 100; i += 1) store.apply([ticker({ last: 100 + i, ts: T0 + i })]);
    expect(btc).not.toHaveBeenCalled();
    frames.run();
    expect(btc).toHaveBeenCalledTimes(1);
    expect(eth).not.toHaveBeenCalled();
    expect(store.get('binance:BTC-USDT')?.last).toBe(199);
  });

  it('lets a screenful of changed symbols hear over several frames, each in its turn', () => {
    const frames = manualFrames();
    const store = new TickStore(frames);
    const heard: number[] = [];
    const count = 2 * SYMBOLS_A_FRAME + 1;
    for (let i = 0; i < count; i += 1) store.subscribe(`binance:S${i}-USDT`, () => heard.push(i));
    const all = (ts: number) =>
      store.apply(Array.from({ length: count }, (_, i) => ticker({ symbol: `S${i}-USDT`, last: ts - T0 + i, ts })));
    all(T0 + 1);
    frames.run();
    expect(heard).toEqual(Array.from({ length: SYMBOLS_A_FRAME }, (_, i) => i));
    expect(store.get(`binance:S${count - 1}-USDT`)?.last).toBe(count);
    all(T0 + 2); // those that have heard stand behind those that have not
    frames.run();
    frames.run();
    expect(heard.slice(0, count)).toEqual(Array.from({ length: count }, (_, i) => i));
    for (let i = 0; i < 3; i += 1) frames.run();
    expect(heard).toHaveLength(count + SYMBOLS_A_FRAME);
  });

  it('says which way the price went since the last flush', () => {
    const frames = manualFrames();
    const store = new TickStore(frames);
    const next = (last: number, ts: number) => {
      store.apply([ticker({ last, ts })]);
      frames.run();
      return store.get('binance:BTC-USDT')?.direction;
    };
    expect(next(100, T0)).toBeNull();
    expect(next(101, T0 + 1)).toBe('up');
    expect(next(99, T0 + 2)).toBe('down');
    expect(next(99, T0 + 3)).toBeNull();
  });

  it('keeps the sparkline that updates leave out', () => {
    const frames = manualFrames();
    const store = new TickStore(frames);
    store.apply([ticker({ sparkline: [1, 2, 3] })]);
    frames.run();
    store.apply([ticker({ last: 5, ts: T0 + 10 })]);
    frames.run();
    expect(store.get('binance:BTC-USDT')).toMatchObject({ last: 5, sparkline: [1, 2, 3] });
  });

  it('does not let a slow answer put an older price back, but takes its sparkline', () => {
    const frames = manualFrames();
    const store = new TickStore(frames);
    store.apply([ticker({ last: 200, ts: T0 + 1000 })]);
    frames.run();
    store.apply([ticker({ last: 100, ts: T0, sparkline: [1, 2] })]);
    frames.run();
    expect(store.get('binance:BTC-USDT')).toMatchObject({ last: 200, ts: T0 + 1000, sparkline: [1, 2] });
  });

  it('counts a tick stale after three times its usual spacing, within bounds', () => {
    const frames = manualFrames();
    const store = new TickStore(frames);
    const limitAt = (spacing: number) => {
      for (let i = 0; i < 50; i += 1) store.apply([ticker({ symbol: `S${spacing}`, ts: T0 + i * spacing })]);
      frames.run();
      return store.get(`binance:S${spacing}`)?.staleAfter;
    };
    expect(limitAt(100)).toBe(15_000);
    expect(limitAt(20_000)).toBeCloseTo(60_000, -2);
    expect(limitAt(600_000)).toBe(120_000);
  });

  it('is silent to those who have left', () => {
    const frames = manualFrames();
    const store = new TickStore(frames);
    const listener = vi.fn();
    store.subscribe('binance:BTC-USDT', listener)();
    store.apply([ticker()]);
    frames.run();
    expect(listener).not.toHaveBeenCalled();
  });
});

describe('trade ring', () => {
  it('holds the newest trades, newest first, without repeats', () => {
    const frames = manualFrames();
    const ring = new TradeRing(frames, 3);
    ring.push([trade(2), trade(1)]);
    ring.push([trade(2), trade(3), trade(4)]);
    frames.run();
    expect(ring.trades.map((t) => t.id)).toEqual([4, 3, 2]);
  });

  it('counts trades by whole seconds', () => {
    const frames = manualFrames();
    const ring = new TradeRing(frames);
    ring.push([trade(1, { ts: T0 }), trade(2, { ts: T0 + 900 }), trade(3, { ts: T0 + 1000 })]);
    frames.run();
    expect(ring.rates(T0 + 2000, 3)).toEqual([0, 2, 1]);
  });
});
