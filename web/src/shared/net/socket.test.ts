import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type LinkState, ResumingSocket } from './socket';

class FakeSocket {
  onopen: (() => void) | null = null;
  onmessage: ((event: MessageEvent<string>) => void) | null = null;
  onclose: (() => void) | null = null;
  onerror: (() => void) | null = null;
  closed = false;
  constructor(readonly url: string) {}
  close(): void {
    this.closed = true;
  }
  say(message: object): void {
    this.onmessage?.({ data: JSON.stringify({ id: '1', ts: 0, data: [], ...message }) } as MessageEvent<string>);
  }
}

const made: FakeSocket[] = [];
const states: LinkState[] = [];
const handlers = {
  onData: vi.fn(),
  onState: (state: LinkState) => states.push(state),
  onHole: vi.fn(),
  onRefused: vi.fn(),
};
let socket: ResumingSocket<unknown>;
const last = () => made[made.length - 1] as FakeSocket;

beforeEach(() => {
  vi.useFakeTimers({ now: 1000 });
  made.length = 0;
  states.length = 0;
  vi.clearAllMocks();
  socket = new ResumingSocket('/ws/tickers?symbols=BTC-USDT', handlers, {
    random: () => 0.5,
    create: (url) => {
      const fake = new FakeSocket(url);
      made.push(fake);
      return fake as unknown as WebSocket;
    },
  });
});
afterEach(() => {
  socket.close();
  vi.useRealTimers();
});

describe('resuming socket', () => {
  it('speaks to its own origin only', () => {
    expect(last().url).toBe(`${location.origin.replace('http', 'ws')}/ws/tickers?symbols=BTC-USDT`);
  });

  it('is open with the first snapshot and hands data on', () => {
    last().say({ type: 'snapshot', data: [1] });
    last().say({ type: 'update', data: [2] });
    last().say({ type: 'heartbeat', data: null });
    expect(states.map((s) => s.kind)).toEqual(['connecting', 'open']);
    expect(handlers.onData.mock.calls).toEqual([
      [[1], 'snapshot'],
      [[2], 'update'],
    ]);
  });

  it('is offline at once when cut, with the time of the next try, and resumes after the last id', () => {
    last().say({ type: 'snapshot', id: 'a' });
    last().say({ type: 'update', id: 'b' });
    last().onclose?.();
    expect(states.at(-1)).toEqual({ kind: 'offline', since: 1000, retryAt: 1500 });
    vi.advanceTimersByTime(500);
    expect(made).toHaveLength(2);
    expect(new URL(last().url).searchParams.get('after')).toBe('b');
    last().say({ type: 'update', id: 'c' });
    expect(states.at(-1)).toEqual({ kind: 'open' });
  });

  it('waits longer each time, up to its limit, and keeps telling since when', () => {
    const waits: number[] = [];
    for (let i = 0; i < 8; i += 1) {
      last().onclose?.();
      const state = states.at(-1) as Extract<LinkState, { kind: 'offline' }>;
      waits.push(state.retryAt - Date.now());
      expect(state.since).toBe(1000);
      vi.advanceTimersByTime(state.retryAt - Date.now());
    }
    expect(waits).toEqual([500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]);
  });

  it('counts silence beyond the heartbeat as a cut', () => {
    last().onopen?.();
    last().say({ type: 'snapshot' });
    vi.advanceTimersByTime(74_000);
    expect(states.at(-1)?.kind).toBe('open');
    vi.advanceTimersByTime(2000);
    expect(states.at(-1)?.kind).toBe('offline');
    expect(made[0]?.closed).toBe(true);
  });

  it('shows a hole and starts afresh from the snapshot', () => {
    last().say({ type: 'snapshot', id: 'a' });
    last().onclose?.();
    vi.advanceTimersByTime(500);
    last().say({ type: 'error', data: { code: 'HOLE', detail: '' } });
    expect(handlers.onHole).toHaveBeenCalledTimes(1);
    last().onclose?.();
    vi.advanceTimersByTime(1000);
    expect(new URL(last().url).searchParams.has('after')).toBe(false);
  });

  it('passes refusals on', () => {
    last().say({ type: 'error', data: { code: 'UNKNOWN_SYMBOL', detail: "was 'X'" } });
    expect(handlers.onRefused).toHaveBeenCalledWith('UNKNOWN_SYMBOL', "was 'X'");
  });

  it('tries at once when the machine comes back online', () => {
    last().onclose?.();
    window.dispatchEvent(new Event('online'));
    expect(made).toHaveLength(2);
  });

  it('stays closed when its reader has gone', () => {
    socket.close();
    vi.advanceTimersByTime(100_000);
    expect(made).toHaveLength(1);
  });
});
