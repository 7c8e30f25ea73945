import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const css = readFileSync('src/shared/theme/tokens.css', 'utf8');

/** Tokens of one rule of tokens.css. */
function block(selector: string): Record<string, string> {
  const start = css.indexOf(`${selector} {`);
  expect(start, `${selector} in tokens.css`).toBeGreaterThanOrEqual(0);
  const body = css.slice(css.indexOf('{', start) + 1, css.indexOf('}', start));
  return Object.fromEntries(
    [...body.matchAll(/--([\w-]+):\s*(#[0-9a-fA-F]{6})\s*;/g)].map((m) => [m[1] as string, m[2] as string]),
  );
}

const dark = block(':root');
const light = { ...dark, ...block(':root[data-theme="light"]') };

function luminance(hex: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((i) => {
    const c = Number.parseInt(hex.slice(i, i + 2), 16) / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function ratio(a: string, b: string): number {
  const [high = 0, low = 0] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (high + 0.05) / (low + 0.05);
}

const SURFACES = ['canvas', 'panel', 'raised', 'over'];
const worst = (theme: Record<string, string>, name: string): number =>
  Math.min(...SURFACES.map((surface) => ratio(theme[name] as string, theme[surface] as string)));

/** The ratios of the design, measured over the theme's four surfaces. */
const PROMISED: [name: string, dark: number, light: number][] = [
  ['t1', 12.3, 12.8],
  ['t2', 7.8, 7.3],
  ['t3', 5.0, 5.1],
  ['line2', 3.2, 3.1],
  ['up', 6.6, 5.0],
  ['down', 5.7, 4.9],
  ['warn', 8.9, 5.7],
  ['ok', 7.3, 5.6],
  ['smoke', 6.6, 5.7],
  ['flame', 7.4, 5.1],
];

describe.each([
  ['dark', dark, 1],
  ['light', light, 2],
] as const)('contrast of the %s theme', (_, theme, column) => {
  it.each(PROMISED)('%s keeps its promised ratio', (...row) => {
    const measured = worst(theme, row[0]);
    expect(Math.round(measured * 10) / 10).toBeGreaterThanOrEqual(row[column]);
    expect(measured).toBeGreaterThanOrEqual(row[0] === 'line2' ? 3 : 4.5);
  });

  it.each([
    ['primary', 'primary-ink', column === 1 ? 14.5 : 16.5],
    ['danger', 'danger-ink', 5.3],
    ['live-to', 'live-ink', 8.5],
    ['wax', 'wax-ink', 4.5],
  ])('ink on %s is readable', (fill, ink, least) => {
    expect(Math.round(ratio(theme[fill] as string, theme[ink] as string) * 10) / 10).toBeGreaterThanOrEqual(least);
  });

  it.each(['1', '2', '3', '4', '5', '6'])('series %s can be seen on the chart', (n) => {
    expect(ratio(theme[`series-${n}`] as string, theme.panel as string)).toBeGreaterThanOrEqual(3);
  });
});

describe.each(['classic', 'mono'])('money colours "%s"', (name) => {
  it.each([
    ['dark', { ...dark, ...block(`:root[data-colours="${name}"]`) }],
    ['light', { ...light, ...block(`:root[data-colours="${name}"][data-theme="light"]`) }],
  ] as const)('are readable on %s', (_, theme) => {
    expect(worst(theme, 'up')).toBeGreaterThanOrEqual(4.5);
    expect(worst(theme, 'down')).toBeGreaterThanOrEqual(4.5);
  });
});

it('names no colour outside tokens.css', () => {
  const found: string[] = [];
  const walk = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) walk(path);
      else if (
        /\.(css|tsx?)$/.test(entry.name) &&
        !/\.test\./.test(entry.name) &&
        entry.name !== 'tokens.css' &&
        entry.name !== 'schema.d.ts'
      ) {
        const text = readFileSync(path, 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
        for (const hit of text.match(/#[0-9a-fA-F]{3,8}\b(?![\w-])|\b(?:rgba?|hsla?|oklch|lab)\(\s*\d/g) ?? [])
          found.push(`${path}: ${hit}`);
      }
    }
  };
  walk('src');
  expect(found).toEqual([]);
});
