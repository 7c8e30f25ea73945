import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { fetchOrTake } from './ahead';

const URL = 'http://localhost:3000/symbols';
const network = vi.fn(async () => new Response('network'));
const text = async (request: Request) => (await fetchOrTake(request)).text();

describe('an answer that was asked for ahead', () => {
  beforeEach(() => {
    network.mockClear();
    vi.stubGlobal('fetch', network);
  });
  afterEach(() => {
    delete window.candlewickAhead;
    vi.unstubAllGlobals();
  });

  it('is given once; later the network is asked', async () => {
    window.candlewickAhead = new Map([[URL, Promise.resolve(new Response('ahead'))]]);
    expect([await text(new Request(URL)), await text(new Request(URL))]).toEqual(['ahead', 'network']);
    expect(network).toHaveBeenCalledTimes(1);
  });

  it('that failed is asked for again', async () => {
    window.candlewickAhead = new Map([[URL, Promise.reject(new TypeError('cut'))]]);
    expect(await text(new Request(URL))).toBe('network');
  });

  it('is for the same address and for reading alone', async () => {
    window.candlewickAhead = new Map([[URL, Promise.resolve(new Response('ahead'))]]);
    expect(await text(new Request(`${URL}?limit=1`))).toBe('network');
    expect(await text(new Request(URL, { method: 'POST' }))).toBe('network');
    expect(window.candlewickAhead.size).toBe(1);
  });
});
