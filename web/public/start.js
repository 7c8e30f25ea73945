// Runs before the first paint and long before the page's own code is there. A file, not inline: the page's CSP allows
// no inline script.

// The theme, so that no page flashes in the wrong one.
(() => {
  let look = {};
  try {
    look = JSON.parse(localStorage.getItem('candlewick.look') ?? '{}');
  } catch {
    // A blocked or damaged store falls back to the defaults.
  }
  const light =
    look.theme === 'light' || (look.theme !== 'dark' && matchMedia('(prefers-color-scheme: light)').matches);
  document.documentElement.dataset.theme = light ? 'light' : 'dark';
  document.documentElement.dataset.colours = look.colours ?? 'flame';
})();

// The room that the address names: its code and its first answers are asked for now, not once the shell stands.
(() => {
  const [, place = '', exchange, symbol, timeframe] = location.pathname.split('/');
  const room = place === 'chart' ? 'chart' : place === '' || place === 'markets' ? 'markets' : '';
  if (room === '') return;

  const rooms = JSON.parse(document.currentScript.dataset.rooms || '{}');
  for (const href of rooms[room] ?? []) {
    document.head.append(
      Object.assign(document.createElement('link'), { rel: 'modulepreload', href, crossOrigin: '' }),
    );
  }

  // The page takes each answer once (shared/api/ahead.ts) and asks again when it failed. Nothing depends on it: an
  // address that is worded otherwise there costs one request, no more.
  const ahead = new Map();
  window.candlewickAhead = ahead;
  const ask = (path) => {
    const url = location.origin + path;
    const reply = fetch(url);
    reply.catch(() => {});
    ahead.set(url, reply);
    return reply;
  };
  const askCandles = (...key) => ask(`/ohlcv/${key.join('/')}?limit=500`);

  if (room === 'chart') askCandles(exchange, symbol, timeframe);
  const symbols = ask('/symbols');
  if (room === 'markets') {
    const search = new URLSearchParams(location.search);
    const wanted = search.get('symbol')?.toUpperCase();
    symbols
      .then((reply) => reply.clone().json())
      .then(({ symbols: all }) => {
        const listed = all.filter((info) => info.exchange === (search.get('exchange') ?? info.exchange));
        const market = listed.find((info) => info.symbol === (wanted ?? 'BTC-USDT')) ?? (wanted ? null : listed[0]);
        if (market) askCandles(market.exchange, market.symbol, search.get('tf') ?? '15m');
      })
      .catch(() => {});
  }
  ask('/api/v1/status');
  ask('/tickers');
})();
