const MINUS = '\u2212';
const cache = new Map<string, Intl.NumberFormat>();

function formatter(min: number, max: number): Intl.NumberFormat {
  const key = `${min}:${max}`;
  let made = cache.get(key);
  if (!made) {
    made = new Intl.NumberFormat('en-US', { minimumFractionDigits: min, maximumFractionDigits: max });
    cache.set(key, made);
  }
  return made;
}

const withMinus = (text: string): string => text.replace('-', MINUS);

/** Digits behind the point that a tick such as "0.01" asks for. */
export function decimalsOf(tick: string): number {
  const plain = tick.includes('e') || tick.includes('E') ? Number(tick).toFixed(12) : tick;
  const fraction = plain.split('.')[1]?.replace(/0+$/, '') ?? '';
  return fraction.length;
}

export function formatPrice(value: number | null | undefined, decimals: number): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  return withMinus(formatter(decimals, decimals).format(value));
}

/** A size with the precision that still tells something at its magnitude. */
export function formatSize(value: number): string {
  const magnitude = Math.abs(value);
  const digits = magnitude >= 10_000 ? 0 : magnitude >= 100 ? 1 : magnitude >= 1 ? 3 : 5;
  return withMinus(formatter(digits, digits).format(value));
}

const UNITS: [number, string][] = [
  [1e12, 'T'],
  [1e9, 'B'],
  [1e6, 'M'],
  [1e3, 'k'],
];

/** 4.44 B, 812.3 k: two or so significant decimals and a unit. */
export function formatCompact(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  for (const [size, unit] of UNITS) {
    if (Math.abs(value) >= size) return `${withMinus(formatter(2, 2).format(value / size))} ${unit}`;
  }
  return withMinus(formatter(0, 2).format(value));
}

export function formatPercent(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  const text = formatter(2, 2).format(Math.abs(value));
  if (text === '0.00') return '0.00%';
  return `${value > 0 ? '+' : MINUS}${text}%`;
}

export function formatCount(value: number): string {
  return withMinus(formatter(0, 0).format(value));
}
