/**
 * Development mock of the Candlewick API: REST, WebSocket and the built page on one port, on loopback only.
 *
 *   node dev-server/server.mjs [--port 8000]      MOCK_MODE=simulated|replay|live  MOCK_EXTRA=488 (more symbols)
 *
 * For screenshots and tests of the terminal without the platform. Not part of the product's build.
 */
import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WebSocketServer } from 'ws';
import { CATALOGUE, indicators } from './indicators.mjs';
import { book, candles, makeMarket, TIMEFRAMES, ticker, trade } from './market.mjs';

const flag = process.argv.indexOf('--port');
const port = Number(flag > 0 ? process.argv[flag + 1] : (process.env.PORT ?? 8000));
const mode = process.env.MOCK_MODE ?? 'simulated';
const detail = { simulated: 'demo market', replay: 'replay 60×', live: 'binance' }[mode];
const root = fileURLToPath(new URL('../../src/candlewick/app/static/', import.meta.url));
const startedAt = Date.now();
const market = makeMarket({ now: startedAt, extra: Number(process.env.MOCK_EXTRA ?? 0) });
for (let t = startedAt - 900_000; t < startedAt; t += 900) for (const m of market.symbols.slice(0, 4)) trade(m, t);
const control = { frozen: new Set(), failing: new Set(), refuseSockets: false };
let events = 0;
let rate = 0;
let correlation = 0;

const CSP =
  "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
  '.json': 'application/json',
  '.txt': 'text/plain; charset=utf-8',
};

const send = (res, status, body, type = 'application/json') => {
  res.writeHead(status, {
    'content-type': type,
    'x-candlewick-mode': mode === 'live' ? 'live' : 'simulated',
    'cache-control': 'no-store',
    'x-correlation-id': `mock-${correlation}`,
  });
  res.end(JSON.stringify(body));
};
const problem = (res, status, code, title, text) =>
  send(
    res,
    status,
    { type: 'about:blank', title, status, detail: text, code, correlation_id: `mock-${correlation}` },
    'application/problem+json',
  );

function page(res, path) {
  const file = normalize(join(root, path));
  const known = file.startsWith(root) && existsSync(file) && statSync(file).isFile();
  const target = known ? file : join(root, 'index.html');
  if (!existsSync(target))
    return problem(res, 404, 'PAGE_NOT_BUILT', 'The page is not built', 'Run npm run build first.');
  res.writeHead(200, {
    'content-type': TYPES[extname(target)] ?? 'application/octet-stream',
    'cache-control': known && path.startsWith('/assets/') ? 'public, max-age=31536000, immutable' : 'no-cache',
    'content-security-policy': CSP,
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
  });
  return createReadStream(target).pipe(res);
}

const status = () => {
  const stale = market.symbols.filter((m) => Date.now() - m.ts > 30_000).length;
  return {
    version: '0.1.0-mock',
    mode,
    mode_detail: detail,
    ready: true,
    now: Date.now(),
    started_at: startedAt,
    feed: {
      lag_p50_ms: 38 + Math.round(Math.random() * 6),
      lag_p99_ms: 110 + Math.round(Math.random() * 20),
      connected: true,
      symbols: market.symbols.length,
      stale_symbols: stale,
    },
    gaps_open: market.gaps.filter((g) => g.state === 'open').length,
    events_per_second: rate,
    log: { bytes: events * 90, events },
    services: ['gateway', 'market', 'realtime', 'history', 'collector', 'stream'].map((name) => ({
      name,
      state: 'ready',
      detail: null,
    })),
  };
};
const publicSymbol = ({ exchange, symbol, base, quote, price_tick, size_step, status: state }) => ({
  exchange,
  symbol,
  base,
  quote,
  price_tick,
  size_step,
  status: state,
  origin: mode === 'live' ? 'live' : 'simulated',
});

const server = createServer((req, res) => {
  correlation += 1;
  const url = new URL(req.url, 'http://mock');
  const [, head, exchange, symbol, timeframe] = url.pathname.split('/').map(decodeURIComponent);
  const number = (name) => (url.searchParams.has(name) ? Number(url.searchParams.get(name)) : undefined);
  const range = { start: number('start'), end: number('end'), limit: number('limit') ?? 500 };
  for (const key of Object.keys(range)) if (range[key] === undefined) delete range[key];
  if (head === '__dev') return devControl(url, res);
  if (control.failing.has(head)) return problem(res, 503, 'MOCK_FAILURE', 'Asked to fail', `${head} was told to fail`);
  if (url.pathname === '/api/v1/status') return send(res, 200, status());
  if (head === 'tickers') {
    const wanted = url.searchParams.get('symbols')?.split(',');
    const list = market.symbols.filter((m) => !wanted || wanted.includes(m.symbol));
    return send(res, 200, { mode, tickers: list.map((m) => ticker(m, Date.now(), true)) });
  }
  if (head === 'symbols') return send(res, 200, { symbols: market.symbols.map(publicSymbol) });
  if (url.pathname === '/indicators/catalogue') return send(res, 200, { indicators: CATALOGUE });
  if (head === 'gaps') {
    const want = url.searchParams;
    return send(res, 200, {
      gaps: market.gaps.filter(
        (g) =>
          (!want.get('symbol') || g.symbol === want.get('symbol')) &&
          g.end > (range.start ?? 0) &&
          g.start < (range.end ?? Infinity) &&
          (want.get('state') !== 'open' || g.state === 'open'),
      ),
    });
  }
  if (['ohlcv', 'indicators', 'quality', 'book', 'trades'].includes(head)) {
    const m = market.bySymbol.get(symbol);
    if (!m || m.exchange !== exchange)
      return problem(
        res,
        404,
        'UNKNOWN_SYMBOL',
        'Unknown symbol',
        `no symbol is followed by that name, was '${symbol}'`,
      );
    if (head === 'book') return send(res, 200, book(m, events, mode));
    if (head === 'trades') return send(res, 200, { trades: m.trades.slice(-(range.limit ?? 200)).reverse() });
    if (head === 'quality')
      return send(res, 200, {
        score: m.base === 'BTC' ? 99.4 : 99.9,
        expected: 43_200,
        present: m.minutes.length,
        final: m.minutes.length - 1,
        repaired: m.base === 'BTC' ? 75 : 0,
        gapped: 1,
        gaps: 2,
        late: 3,
        duplicates: 0,
      });
    if (!TIMEFRAMES[timeframe])
      return problem(
        res,
        422,
        'UNKNOWN_TIMEFRAME',
        'Unknown timeframe',
        `timeframe must be one of ${Object.keys(TIMEFRAMES)}, was '${timeframe}'`,
      );
    if (head === 'ohlcv')
      return send(res, 200, { exchange, symbol, timeframe, candles: candles(m, timeframe, range), next: null });
    // Values need history in front of the page: compute on 300 bars more, then cut to the page.
    const rows = candles(m, timeframe, range);
    const before = (rows[0]?.open_time ?? 0) - 300 * TIMEFRAMES[timeframe];
    const all = candles(m, timeframe, {
      start: before,
      end: (rows.at(-1)?.open_time ?? 0) + 1,
      limit: 20_000,
      newest: false,
    });
    const series = indicators(
      all,
      (url.searchParams.get('series') ?? '').split(',').filter(Boolean),
      TIMEFRAMES[timeframe],
    );
    if (!series)
      return problem(res, 422, 'UNKNOWN_INDICATOR', 'Unknown indicator', `was '${url.searchParams.get('series')}'`);
    const from = rows.length ? all.findIndex((c) => c.open_time === rows[0].open_time) : 0;
    return send(res, 200, {
      exchange,
      symbol,
      timeframe,
      open_times: rows.map((c) => c.open_time),
      series: series.map((s) => ({ ...s, values: s.values.slice(from, from + rows.length) })),
    });
  }
  return page(res, url.pathname);
});

/** Faults on demand: /__dev/cut, /__dev/refuse?on=1, /__dev/freeze?symbol=, /__dev/fail?what=ohlcv&on=1 */
function devControl(url, res) {
  const what = url.pathname.split('/')[2];
  const on = url.searchParams.get('on') !== '0';
  const toggle = (set, value) => (on ? set.add(value) : set.delete(value));
  if (what === 'cut' || what === 'refuse') for (const client of sockets.clients) client.terminate();
  if (what === 'refuse') control.refuseSockets = on;
  if (what === 'freeze') toggle(control.frozen, url.searchParams.get('symbol'));
  if (what === 'fail') toggle(control.failing, url.searchParams.get('what'));
  return send(res, 200, {
    frozen: [...control.frozen],
    failing: [...control.failing],
    refuseSockets: control.refuseSockets,
  });
}

const sockets = new WebSocketServer({ noServer: true });
server.on('upgrade', (req, socket, head) => {
  if (control.refuseSockets) return socket.destroy();
  return sockets.handleUpgrade(req, socket, head, (client) => open(client, new URL(req.url, 'http://mock')));
});
const say = (client, type, data) => {
  if (client.readyState !== 1 || client.bufferedAmount > 4e6) return;
  client.send(JSON.stringify({ type, id: String(events), ts: Date.now(), data }));
};
function open(client, url) {
  const [, , kind, exchange, symbol, timeframe] = url.pathname.split('/').map(decodeURIComponent);
  const m = market.bySymbol.get(symbol);
  client.topic = { kind, exchange, symbol, timeframe, market: m };
  if (kind === 'tickers') {
    const wanted = url.searchParams.get('symbols')?.split(',');
    client.topic.list = market.symbols.filter((s) => !wanted || wanted.includes(s.symbol));
    say(
      client,
      'snapshot',
      client.topic.list.map((s) => ticker(s, Date.now(), false)),
    );
  } else if (!m) {
    say(client, 'error', { code: 'UNKNOWN_SYMBOL', detail: `was '${symbol}'` });
    client.close(4004);
  } else if (kind === 'ohlcv') say(client, 'snapshot', candles(m, timeframe, { limit: 500 }));
  else if (kind === 'trades') say(client, 'snapshot', m.trades.slice(-200).reverse());
  else if (kind === 'book') say(client, 'snapshot', book(m, events, mode));
}

// Ten times a second: some symbols trade, then every socket hears what concerns it.
const busy = Number(process.env.MOCK_BUSY ?? 0.35);
setInterval(() => {
  const now = Date.now();
  const made = new Map();
  for (const m of market.symbols) {
    if (m.stale || control.frozen.has(m.symbol)) continue;
    const count = m.base === 'BTC' ? 1 + Math.floor(m.rng() * 4) : m.rng() < busy ? 1 : 0;
    const list = [];
    for (let i = 0; i < count; i += 1) list.push(trade(m, now));
    if (list.length) made.set(m.symbol, list);
    events += count;
  }
  const memo = new Map();
  const once = (key, make) => {
    if (!memo.has(key)) memo.set(key, make());
    return memo.get(key);
  };
  for (const client of sockets.clients) {
    const { kind, symbol, timeframe, market: m, list } = client.topic;
    if (kind === 'tickers') {
      const changed = list.filter((s) => made.has(s.symbol)).map((s) => once(`t:${s.symbol}`, () => fastTicker(s)));
      if (changed.length) say(client, 'update', changed);
    } else if (m && made.has(symbol)) {
      if (kind === 'trades') say(client, 'update', made.get(symbol));
      if (kind === 'book')
        say(
          client,
          'update',
          once(`b:${symbol}`, () => book(m, events, mode)),
        );
      if (kind === 'ohlcv')
        say(
          client,
          'update',
          once(`c:${symbol}:${timeframe}`, () =>
            candles(m, timeframe, {
              start: now - 2 * TIMEFRAMES[timeframe] - (timeframe === '1w' ? 0 : 0),
              limit: 3,
              newest: true,
            }),
          ).slice(-2),
        );
    }
  }
}, 100);
const dayCache = new Map();
function fastTicker(m) {
  const cached = dayCache.get(m.symbol);
  const minute = Math.floor(Date.now() / 60_000);
  if (!cached || cached.minute !== minute) dayCache.set(m.symbol, { minute, ticker: ticker(m, Date.now(), false) });
  const base = dayCache.get(m.symbol).ticker;
  const last = m.minutes.at(-1).close;
  return {
    ...base,
    last,
    ask: last,
    bid: m.round(last - Number(m.price_tick)),
    change_24h: m.round(last - base.open_24h),
    change_pct_24h: Number((((last - base.open_24h) / base.open_24h) * 100).toFixed(3)),
    high_24h: Math.max(base.high_24h, last),
    low_24h: Math.min(base.low_24h, last),
    ts: m.ts,
  };
}
let before = 0;
setInterval(() => {
  rate = (events - before) * 7;
  before = events;
}, 1000);
setInterval(() => {
  for (const client of sockets.clients) say(client, 'heartbeat', null);
}, 30_000);

server.listen(port, '127.0.0.1', () =>
  process.stdout.write(`development mock (${mode}) on http://127.0.0.1:${port}\n`),
);
