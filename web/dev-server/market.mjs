/**
 * The market behind the development mock: a seeded random walk per symbol with the faults a terminal must show
 * (a venue halt, a repaired run, a gapped candle, a silent symbol). Never part of the product's build.
 */
export const TIMEFRAMES = {
  '1s': 1e3,
  '1m': 6e4,
  '3m': 18e4,
  '5m': 3e5,
  '15m': 9e5,
  '30m': 18e5,
  '1h': 36e5,
  '4h': 144e5,
  '1d': 864e5,
  '1w': 6048e5,
};
const MINUTE = 60_000;
const DAYS = 30;
const LISTED = [
  ['BTC', 53222.6, 0.01, 1],
  ['ETH', 2474.7, 0.01, 1.2],
  ['SOL', 47.46, 0.001, 1.9],
  ['XRP', 1.2163, 0.0001, 1.5],
  ['BNB', 542.1, 0.01, 1.3],
  ['DOGE', 0.26435, 0.00001, 2.2],
  ['ADA', 1.2161, 0.0001, 1.5],
  ['AVAX', 31.78, 0.01, 1.8],
  ['DOT', 32.78, 0.01, 1.5],
  ['LINK', 34.74, 0.01, 1.6],
  ['LTC', 242.9, 0.01, 1.3],
  ['NEAR', 5.091, 0.001, 2],
];

/** mulberry32: small, seeded, good enough for a picture. */
export function random(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
const normal = (rng) => Math.sqrt(-2 * Math.log(rng() + 1e-12)) * Math.cos(2 * Math.PI * rng());
const decimals = (tick) => Math.max(0, Math.round(-Math.log10(tick)));

export function makeMarket({ now, extra = 0 }) {
  const listed = [...LISTED];
  for (let i = 0; i < extra; i += 1) listed.push([`T${String(i).padStart(3, '0')}`, 1 + (i % 90), 0.001, 1.5]);
  const end = Math.floor(now / MINUTE) * MINUTE;
  const common = random(7);
  const shocks = new Float64Array(DAYS * 1440);
  let vol = 1;
  for (let i = 0; i < shocks.length; i += 1) {
    vol = 0.995 * vol + 0.005 * (0.4 + 1.6 * common()) + (common() < 0.0006 ? 2.5 : 0);
    shocks[i] = normal(common) * vol;
  }
  const gaps = [];
  const symbols = listed.map(([base, last, tick, beta], index) => {
    const rng = random(1000 + index);
    const n = DAYS * 1440;
    const digits = decimals(tick);
    const round = (v) => Number(v.toFixed(digits));
    const closes = new Float64Array(n);
    let log = 0;
    for (let i = 0; i < n; i += 1) {
      log += 0.00042 * beta * (0.8 * shocks[i] + 0.6 * normal(rng)) - 0.000012 * log;
      closes[i] = log;
    }
    const shift = Math.log(last) - closes[n - 1];
    const minutes = [];
    let open = Math.exp(closes[0] + shift);
    for (let i = 0; i < n; i += 1) {
      const t = end - (n - i) * MINUTE;
      const close = Math.exp(closes[i] + shift);
      const wick = () => Math.abs(normal(rng)) * 0.00022 * beta * (0.5 + Math.abs(shocks[i]));
      const activity = (0.35 + Math.abs(shocks[i])) * (0.6 + rng());
      const volume = (activity * 1.1e6) / close / (1 + index * 0.4);
      minutes.push({
        open_time: t,
        open: round(open),
        close: round(close),
        high: round(Math.max(open, close) * (1 + wick())),
        low: round(Math.min(open, close) * (1 - wick())),
        volume: Number(volume.toFixed(5)),
        quote_volume: Number((volume * close).toFixed(2)),
        taker_buy_volume: Number((volume * (0.35 + 0.3 * rng())).toFixed(5)),
        trades: Math.round(activity * 420),
        final: true,
        revision: 0,
        origin: 'simulated',
        quality: 'ok',
      });
      open = close;
    }
    const market = {
      exchange: 'binance',
      symbol: `${base}-USDT`,
      base,
      quote: 'USDT',
      price_tick: tick.toFixed(digits),
      size_step: '0.00001',
      status: 'trading',
      origin: 'simulated',
      digits,
      round,
      rng,
      beta,
      minutes,
      seconds: [],
      trades: [],
      tradeId: 1e6,
      ts: end,
      stale: base === 'AVAX',
    };
    return market;
  });

  const drop = (market, fromMinutesAgo, count) => {
    const cut = market.minutes.length - fromMinutesAgo;
    const removed = market.minutes.splice(cut, count);
    return { start: removed[0].open_time, end: removed[removed.length - 1].open_time + MINUTE };
  };
  const halted = symbols[0];
  for (const market of symbols) {
    const at = drop(market, 26 * 60, 284);
    gaps.push({
      id: `gap-halt-${market.base}`,
      exchange: 'binance',
      symbol: market.symbol,
      ...at,
      reason: 'venue_halt',
      state: 'verified_empty',
      trades_missing: 0,
      detected_at: at.start + 4000,
      closed_at: at.end + 9000,
      detail: 'the venue answered: no trades',
    });
  }
  // A run that was lost by the socket and fetched again.
  const repaired = halted.minutes.slice(-9 * 60, -9 * 60 + 75);
  for (const candle of repaired) Object.assign(candle, { origin: 'repaired', revision: 1 });
  gaps.push({
    id: 'gap-repaired-BTC',
    exchange: 'binance',
    symbol: halted.symbol,
    start: repaired[0].open_time,
    end: repaired.at(-1).open_time + MINUTE,
    reason: 'disconnect',
    state: 'repaired',
    trades_missing: 4120,
    detected_at: repaired[0].open_time,
    closed_at: repaired.at(-1).open_time + 90_000,
    detail: 'fetched over REST',
  });
  const gapped = halted.minutes.at(-190);
  gapped.quality = 'gapped';
  gaps.push({
    id: 'gap-lost-BTC',
    exchange: 'binance',
    symbol: halted.symbol,
    start: gapped.open_time + 12_000,
    end: gapped.open_time + 31_000,
    reason: 'missing_ids',
    state: 'lost',
    trades_missing: 37,
    detected_at: gapped.open_time + 33_000,
    closed_at: null,
    detail: 'ids never served',
  });
  const doge = symbols[5];
  const hole = drop(doge, 12, 4);
  gaps.push({
    id: 'gap-open-DOGE',
    exchange: 'binance',
    symbol: doge.symbol,
    ...hole,
    reason: 'silence',
    state: 'open',
    trades_missing: null,
    detected_at: hole.start + 20_000,
    closed_at: null,
    detail: 'asking the venue',
  });
  for (const market of symbols) if (market.stale) market.ts = now - 134_000;
  return { symbols, gaps, bySymbol: new Map(symbols.map((market) => [market.symbol, market])) };
}

export const lastPrice = (market) => market.minutes.at(-1).close;

/** One trade of the live walk; extends the minute (and second) in progress and returns the trade. */
export function trade(market, now) {
  const rng = market.rng;
  const previous = lastPrice(market);
  const price = market.round(previous * (1 + normal(rng) * 0.00006 * market.beta));
  const size = Number(((0.02 + rng() ** 4 * 40) * (800 / price)).toFixed(5));
  const side = rng() < 0.5 + Math.sign(price - previous) * 0.3 ? 'buy' : 'sell';
  for (const [list, step, keep] of [
    [market.minutes, 60_000, Infinity],
    [market.seconds, 1000, 3600],
  ]) {
    const open_time = Math.floor(now / step) * step;
    let candle = list.at(-1);
    if (!candle || candle.open_time < open_time) {
      if (candle) candle.final = true;
      // Without trades the feed was still proven alive: an empty candle, as the platform makes it.
      for (let t = candle ? candle.open_time + step : open_time; step === 60_000 && t < open_time; t += step)
        list.push(blank(t, previous, true));
      candle = blank(open_time, candle ? candle.close : price, false);
      list.push(candle);
      if (list.length > keep) list.shift();
    }
    candle.close = price;
    candle.high = Math.max(candle.high, price);
    candle.low = Math.min(candle.low, price);
    candle.volume = Number((candle.volume + size).toFixed(5));
    candle.quote_volume = Number((candle.quote_volume + size * price).toFixed(2));
    if (side === 'buy') candle.taker_buy_volume = Number((candle.taker_buy_volume + size).toFixed(5));
    candle.trades += 1;
  }
  market.ts = now;
  market.tradeId += 1;
  const made = { id: market.tradeId, price, size, side, ts: now };
  market.trades.push(made);
  if (market.trades.length > 400) market.trades.splice(0, 200);
  return made;
}
const blank = (open_time, price, final) => ({
  open_time,
  open: price,
  high: price,
  low: price,
  close: price,
  volume: 0,
  quote_volume: 0,
  taker_buy_volume: 0,
  trades: 0,
  final,
  revision: 0,
  origin: 'simulated',
  quality: 'ok',
});

function lowerBound(rows, time) {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const mid = (low + high) >> 1;
    if (rows[mid].open_time < time) low = mid + 1;
    else high = mid;
  }
  return low;
}

/** Candles of any timeframe, oldest first, derived from the base rows. */
export function candles(
  market,
  timeframe,
  { start = -Infinity, end = Infinity, limit = 500, newest = start === -Infinity } = {},
) {
  const step = TIMEFRAMES[timeframe];
  if (timeframe === '1s' || timeframe === '1m') {
    const rows = timeframe === '1s' ? market.seconds : market.minutes;
    const [from, to] = [lowerBound(rows, start), lowerBound(rows, end)];
    return newest ? rows.slice(Math.max(from, to - limit), to) : rows.slice(from, Math.min(to, from + limit));
  }
  const anchor = timeframe === '1w' ? 4 * 864e5 : 0; // weeks open on Monday; 1970-01-01 was a Thursday
  const bucket = (t) => Math.floor((t - anchor) / step) * step + anchor;
  const out = [];
  let current = null;
  let rows = 0;
  const close = () => {
    if (!current) return;
    if (current.final && rows * MINUTE < step) current.quality = 'gapped';
    out.push(current);
  };
  // Only the minutes that the page can hold, one bar more at its front.
  const reach = newest ? Math.min(end, market.minutes.at(-1).open_time) - (limit + 1) * step : start;
  const from = lowerBound(market.minutes, Math.max(reach, start === -Infinity ? reach : bucket(start)));
  const firstWhole = newest && from > 0 ? bucket(market.minutes[from].open_time) + step : -Infinity;
  for (let i = from; i < market.minutes.length; i += 1) {
    const c = market.minutes[i];
    const open_time = bucket(c.open_time);
    if (open_time < firstWhole) continue;
    if (open_time < start || open_time >= end) continue;
    if (!current || current.open_time !== open_time) {
      close();
      current = { ...c, open_time };
      rows = 0;
    } else {
      current.high = Math.max(current.high, c.high);
      current.low = Math.min(current.low, c.low);
      current.close = c.close;
      current.volume = Number((current.volume + c.volume).toFixed(5));
      current.quote_volume = Number((current.quote_volume + c.quote_volume).toFixed(2));
      current.taker_buy_volume = Number((current.taker_buy_volume + c.taker_buy_volume).toFixed(5));
      current.trades += c.trades;
      current.revision = Math.max(current.revision, c.revision);
      if (c.origin === 'repaired') current.origin = 'repaired';
      if (c.quality === 'gapped') current.quality = 'gapped';
    }
    current.final = open_time + step <= market.minutes.at(-1).open_time;
    rows += 1;
  }
  close();
  return newest ? out.slice(-limit) : out.slice(0, limit);
}

export function ticker(market, now, withSparkline) {
  const day = market.minutes.slice(lowerBound(market.minutes, now - 864e5));
  const open = day[0].open;
  const last = lastPrice(market);
  const base = {
    exchange: market.exchange,
    symbol: market.symbol,
    last,
    bid: market.round(last - Number(market.price_tick)),
    ask: last,
    open_24h: open,
    high_24h: Math.max(...day.map((c) => c.high)),
    low_24h: Math.min(...day.map((c) => c.low)),
    volume_24h: day.reduce((sum, c) => sum + c.volume, 0),
    quote_volume_24h: day.reduce((sum, c) => sum + c.quote_volume, 0),
    change_24h: market.round(last - open),
    change_pct_24h: Number((((last - open) / open) * 100).toFixed(3)),
    ts: market.ts,
    origin: 'simulated',
    quality: 'ok',
  };
  return withSparkline ? { ...base, sparkline: candles(market, '30m', { limit: 48 }).map((c) => c.close) } : base;
}

export function book(market, sequence, mode) {
  const tick = Number(market.price_tick);
  const mid = lastPrice(market);
  const unit = Math.max(tick, market.round(mid * 0.00002));
  const side = (sign) => {
    const levels = [];
    for (let i = 0; i < 20; i += 1) {
      const rng = random(Math.floor(market.ts / 700) * 31 + i * (sign > 0 ? 7 : 13) + Math.floor(mid / unit) * 97);
      levels.push([
        market.round(mid + sign * (i + (sign > 0 ? 1 : 0)) * unit),
        Number(((0.05 + rng() ** 3 * 5) * (40000 / mid)).toFixed(3)),
      ]);
    }
    return levels;
  };
  return {
    exchange: market.exchange,
    symbol: market.symbol,
    bids: side(-1),
    asks: side(1),
    ts: market.ts,
    sequence,
    in_sequence: true,
    mode,
  };
}
