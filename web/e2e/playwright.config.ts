import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig } from '@playwright/test';

/**
 * BASE_URL points the suite at any running Candlewick (the embedded run, a cluster's gateway). Without it the
 * development mock is started on its own port, serving the built page.
 */
const port = 8791;
const base = process.env.BASE_URL;
const artefacts = process.env.ARTEFACTS ?? fileURLToPath(new URL('../test-artifacts', import.meta.url));
const chromium =
  process.env.CHROMIUM ??
  ['/usr/bin/chromium-headless-shell', '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
    (path) => existsSync(path),
  );

export default defineConfig({
  testDir: '.',
  outputDir: `${artefacts}/results`,
  timeout: 60_000,
  expect: { timeout: 10_000 },
  // a product is shared by what looks at it; the mock is asked by two at once
  workers: base ? 1 : 2,
  retries: 1,
  reporter: [['list'], ['json', { outputFile: `${artefacts}/e2e.json` }]],
  use: {
    baseURL: base ?? `http://127.0.0.1:${port}`,
    viewport: { width: 1440, height: 900 },
    colorScheme: 'dark',
    trace: 'on-first-retry',
    launchOptions: {
      ...(chromium ? { executablePath: chromium } : {}),
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    },
  },
  ...(base
    ? {}
    : {
        webServer: {
          command: `node dev-server/server.mjs --port ${port}`,
          cwd: fileURLToPath(new URL('..', import.meta.url)),
          url: `http://127.0.0.1:${port}/api/v1/status`,
          reuseExistingServer: false,
        },
      }),
});
