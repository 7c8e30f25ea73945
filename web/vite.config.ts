import { fileURLToPath, URL } from 'node:url';
import react from '@vitejs/plugin-react';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

/** Where the gateway (or the development mock) listens while `npm run dev` serves the page. */
const backend = process.env.CANDLEWICK_URL ?? 'http://127.0.0.1:8000';
const served = ['/api', '/symbols', '/tickers', '/ohlcv', '/indicators', '/gaps', '/quality', '/book', '/trades'];

/** Which module is a room's own; `public/start.js` knows the rooms by these names. */
const rooms = { chart: '/src/app/ChartRoute.tsx', markets: '/src/app/MarketsRoute.tsx' };

/** Writes into the built page which files each room's code is in, so that they are asked for with the page's own. */
function tellRooms(): Plugin {
  return {
    name: 'tell-rooms',
    transformIndexHtml: {
      order: 'post',
      handler(html, { bundle }) {
        if (!bundle) return html;
        const chunks = Object.values(bundle).filter((file) => file.type === 'chunk');
        const files = (name: string, seen = new Set<string>()): Set<string> => {
          const chunk = chunks.find((file) => file.fileName === name);
          if (!chunk || seen.has(name) || html.includes(name)) return seen;
          seen.add(name);
          for (const next of chunk.imports) files(next, seen);
          return seen;
        };
        const told = Object.entries(rooms).map(([room, module]) => {
          const own = chunks.find((file) => file.facadeModuleId?.endsWith(module));
          if (!own) throw new Error(`no chunk has ${module}: the rooms of vite.config.ts are not those of the page`);
          return [room, [...files(own.fileName)].map((name) => `/${name}`)];
        });
        const json = JSON.stringify(Object.fromEntries(told)).replaceAll('"', '&quot;');
        return html.replace('data-rooms=""', `data-rooms="${json}"`);
      },
    },
  };
}

export default defineConfig({
  plugins: [react(), tellRooms()],
  resolve: { alias: { '@': fileURLToPath(new URL('./src', import.meta.url)) } },
  build: {
    outDir: '../src/candlewick/app/static',
    emptyOutDir: true,
    target: 'es2023',
    // A data: font or image would need a wider Content-Security-Policy; every asset stays a file.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    manifest: true,
    // All of it is 8 kB gzipped; in parts it would come in a second wave, behind the code of each room.
    cssCodeSplit: false,
    rolldownOptions: {
      output: {
        codeSplitting: {
          // Few files, as each costs the server and the browser more than its bytes: what every room needs, what is
          // small and shared by some, and the chart with its library.
          groups: [
            { name: 'shell', tags: ['$initial'], priority: 3 },
            { name: 'parts', test: /ui\/(Sparkline|Segmented|Panel)|market\/recent|icons\/clock/, priority: 2 },
            { name: 'chart', test: /shared\/market\/MarketChart/, priority: 1 },
          ],
        },
      },
    },
  },
  server: {
    port: 5173,
    proxy: Object.fromEntries([
      ...served.map((path) => [path, { target: backend }]),
      ['/ws', { target: backend.replace(/^http/, 'ws'), ws: true }],
    ]),
  },
  test: {
    environment: 'jsdom',
    setupFiles: ['./src/test/setup.ts'],
    include: ['src/**/*.test.{ts,tsx}'],
    restoreMocks: true,
    css: { modules: { classNameStrategy: 'non-scoped' } },
  },
});
