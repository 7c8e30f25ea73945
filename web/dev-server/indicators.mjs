/** Plain indicator series for the development mock (the product computes them in its own quant code). */
const over = (rows, length, fn) => rows.map((_, i) => (i + 1 < length ? null : fn(rows.slice(i + 1 - length, i + 1))));
const mean = (xs) => xs.reduce((a, b) => a + b, 0) / xs.length;

const MADE = {
  sma: (rows, [n = 20]) => [['value', over(rows, n, (w) => mean(w.map((c) => c.close)))]],
  ema: (rows, [n = 21]) => {
    let value = null;
    return [
      [
        'value',
        rows.map((c, i) => {
          value = value === null ? c.close : value + (2 / (n + 1)) * (c.close - value);
          return i + 1 < n ? null : value;
        }),
      ],
    ];
  },
  bollinger: (rows, [n = 20, k = 2]) => {
    const bands = over(rows, n, (w) => {
      const m = mean(w.map((c) => c.close));
      return [m, Math.sqrt(mean(w.map((c) => (c.close - m) ** 2))) * k];
    });
    return [
      ['upper', bands.map((b) => b && b[0] + b[1])],
      ['middle', bands.map((b) => b?.[0] ?? null)],
      ['lower', bands.map((b) => b && b[0] - b[1])],
    ];
  },
  vwap: (rows) => {
    let day = -1,
      pv = 0,
      v = 0;
    return [
      [
        'value',
        rows.map((c) => {
          const d = Math.floor(c.open_time / 864e5);
          if (d !== day) [day, pv, v] = [d, 0, 0];
          pv += ((c.high + c.low + c.close) / 3) * c.volume;
          v += c.volume;
          return v > 0 ? pv / v : null;
        }),
      ],
    ];
  },
  rsi: (rows, [n = 14]) => {
    let gain = 0,
      loss = 0;
    return [
      [
        'value',
        rows.map((c, i) => {
          if (i === 0) return null;
          const d = c.close - rows[i - 1].close;
          const k = i <= n ? 1 / i : 1 / n;
          gain += k * (Math.max(d, 0) - gain);
          loss += k * (Math.max(-d, 0) - loss);
          return i < n ? null : loss === 0 ? 100 : 100 - 100 / (1 + gain / loss);
        }),
      ],
    ];
  },
};
const TITLES = { sma: 'SMA', ema: 'EMA', bollinger: 'Bollinger', vwap: 'VWAP', rsi: 'RSI' };

const param = (name, value, min, max, type = 'int') => ({ name, title: name, default: value, min, max, type });
const lines = (...names) => names.map((name) => ({ name, title: name, line: 'line' }));
export const CATALOGUE = [
  {
    name: 'sma',
    title: 'Simple moving average',
    pane: 'price',
    params: [param('window', 20, 1, 5000)],
    outputs: lines('sma'),
  },
  {
    name: 'ema',
    title: 'Exponential moving average',
    pane: 'price',
    params: [param('window', 21, 1, 5000)],
    outputs: lines('ema'),
  },
  {
    name: 'bollinger',
    title: 'Bollinger bands',
    pane: 'price',
    params: [param('window', 20, 2, 5000), param('deviations', 2, 0.1, 10, 'float')],
    outputs: lines('upper', 'middle', 'lower'),
  },
  { name: 'vwap', title: 'Volume-weighted average price', pane: 'price', params: [], outputs: lines('vwap') },
  {
    name: 'rsi',
    title: 'Relative strength index',
    pane: 'own',
    params: [param('window', 14, 2, 5000)],
    outputs: lines('rsi'),
  },
].map((info) => ({ ...info, aliases: [] }));

/** @returns null when an id is not in the catalogue */
export function indicators(rows, ids, step) {
  const series = [];
  // A hole ends the window: values restart behind it, as the platform serves them.
  const runs = [];
  for (const row of rows) {
    const run = runs.at(-1);
    if (run && row.open_time - run.at(-1).open_time === step) run.push(row);
    else runs.push([row]);
  }
  for (const id of ids) {
    const [name, ...params] = id.split(':');
    if (!MADE[name]) return null;
    const numbers = params.map(Number);
    const outputs = new Map();
    for (const run of runs)
      for (const [output, values] of MADE[name](run, numbers))
        outputs.set(output, [...(outputs.get(output) ?? []), ...values]);
    for (const [output, values] of outputs) {
      series.push({
        id,
        name: [TITLES[name], ...params].join(' '),
        pane: name === 'rsi' ? 'own' : 'price',
        output: output === 'value' ? name : output,
        values,
        look_back: numbers[0] ?? 1,
        line: 'line',
        levels: name === 'rsi' ? [30, 70] : [],
      });
    }
  }
  return series;
}
