import { fileURLToPath, URL } from 'node:url';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

/** Where the gateway (or the development mock) listens while `npm run dev` serves the page. */
const backend = process.env.CANDLEWICK_URL ?? 'http://127.0.0.1:8000';
const served = ['/api', '/symbols', '/tickers', '/ohlcv', '/indicators', '/gaps', '/quality', '/book', '/trades'];

export default defineConfig({
  plugins: [react()],
  resolve: { alias: { '@': fileURLToPath(new URL('./src', import.meta.url)) } },
  build: {
    outDir: '../src/candlewick/app/static',
    emptyOutDir: true,
    target: 'es2023',
    // A data: font or image would need a wider Content-Security-Policy; every asset stays a file.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    manifest: true,
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
