const MINUS = '\u2212';

/**
 * 54,321.90: exactly so many decimals, thousands apart. By hand, as a screenful of prices is written ten times a
 * second: Intl's formatter takes several times as long, and the first of them milliseconds of the page's start.
 */
function fixed(value: number, digits: number): string {
  const plain = Math.abs(value).toFixed(digits);
  const point = digits === 0 ? plain.length : plain.length - digits - 1;
  let text = plain.slice(point);
  let end = point;
  for (; end > 3; end -= 3) text = `,${plain.slice(end - 3, end)}${text}`;
  return `${value < 0 ? MINUS : ''}${plain.slice(0, end)}${text}`;
}

/** Digits behind the point that a tick such as "0.01" asks for. */
export function decimalsOf(tick: string): number {
  const plain = tick.includes('e') || tick.includes('E') ? Number(tick).toFixed(12) : tick;
  const fraction = plain.split('.')[1]?.replace(/0+$/, '') ?? '';
  return fraction.length;
}

export function formatPrice(value: number | null | undefined, decimals: number): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  return fixed(value, decimals);
}

/** A size with the precision that still tells something at its magnitude. */
export function formatSize(value: number): string {
  const magnitude = Math.abs(value);
  const digits = magnitude >= 10_000 ? 0 : magnitude >= 100 ? 1 : magnitude >= 1 ? 3 : 5;
  return fixed(value, digits);
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
    if (Math.abs(value) >= size) return `${fixed(value / size, 2)} ${unit}`;
  }
  return fixed(value, 2).replace(/\.?0+$/, '');
}

export function formatPercent(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  const text = fixed(Math.abs(value), 2);
  if (text === '0.00') return '0.00%';
  return `${value > 0 ? '+' : MINUS}${text}%`;
}

export function formatCount(value: number): string {
  return fixed(value, 0);
}
