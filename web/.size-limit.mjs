/**
 * Budgets of the built page, gzipped: what a room loads is read from Vite's manifest, so that a new chunk cannot
 * hide. The budgets are those of the design: shell 165, chart page 260, any other room 110 more than the shell, CSS 25.
 */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = new URL('../src/candlewick/app/static/', import.meta.url);
const file = new URL('.vite/manifest.json', root);
if (!existsSync(file)) throw new Error('the page is not built: run npm run build first');
const manifest = JSON.parse(readFileSync(file, 'utf8'));

/** A chunk and everything it imports statically. */
function closure(key, seen = new Set()) {
  if (seen.has(key)) return seen;
  seen.add(key);
  for (const next of manifest[key].imports ?? []) closure(next, seen);
  return seen;
}
const paths = (...keys) => [
  ...new Set(keys.flatMap((key) => [...closure(key)]).map((key) => fileURLToPath(new URL(manifest[key].file, root)))),
];
const files = Object.values(manifest).flatMap((chunk) => [chunk.file, ...(chunk.css ?? [])]);
const css = [...new Set(files.filter((name) => name.endsWith('.css')))].map((name) =>
  fileURLToPath(new URL(name, root)),
);
const shell = 'index.html';

export default [
  { name: 'shell', path: paths(shell), limit: '165 kB', gzip: true },
  { name: 'chart page', path: paths(shell, 'src/app/ChartRoute.tsx'), limit: '260 kB', gzip: true },
  { name: 'markets page', path: paths(shell, 'src/app/MarketsRoute.tsx'), limit: '275 kB', gzip: true },
  { name: 'settings page', path: paths(shell, 'src/features/settings/SettingsPage.tsx'), limit: '275 kB', gzip: true },
  { name: 'palette, on first use', path: paths(shell, 'src/app/Palette.tsx'), limit: '185 kB', gzip: true },
  { name: 'all CSS', path: css, limit: '25 kB', gzip: true },
];
