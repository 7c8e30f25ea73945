import { type APIRequestContext, test as base, expect, type Locator, type Page } from '@playwright/test';

/** Where a screenshot is kept; a run against another server names a folder of its own in ARTEFACTS. */
export const artefact = (file: string): string => `${process.env.ARTEFACTS ?? 'test-artifacts'}/${file}`;

export const chart = (page: Page): Locator => page.getByTestId('price-chart').first();

/** Candles are there: the chart says how many bars it holds and the last close. */
export async function candlesDrawn(page: Page): Promise<void> {
  await expect
    .poll(async () => Number((await chart(page).getAttribute('data-bars')) ?? 0), { timeout: 15_000 })
    .toBeGreaterThan(5);
  await expect(chart(page)).toHaveAttribute('data-last-close', /\d/);
}

/** The wide canvas pixels of the main pane that are not background: proof that something is painted. */
export async function paintedPixels(page: Page): Promise<number> {
  return chart(page).evaluate((element) => {
    let most = 0;
    for (const canvas of element.querySelectorAll('canvas')) {
      const context = canvas.getContext('2d');
      if (!context || canvas.width < 200 || canvas.height < 100) continue;
      const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
      const [r, g, b] = [data[0] ?? 0, data[1] ?? 0, data[2] ?? 0];
      let painted = 0;
      for (let i = 0; i < data.length; i += 4) {
        if (Math.abs((data[i] ?? 0) - r) + Math.abs((data[i + 1] ?? 0) - g) + Math.abs((data[i + 2] ?? 0) - b) > 60)
          painted += 1;
      }
      most = Math.max(most, painted);
    }
    return most;
  });
}

/** The venue under which the server follows BTC/USDT: `binance`, or `demo` for the demo market. */
export async function venue(request: APIRequestContext): Promise<string> {
  const { symbols } = await (await request.get('/symbols')).json();
  return symbols.find((info: { symbol: string }) => info.symbol === 'BTC-USDT')?.exchange ?? 'binance';
}

/** Every test also holds that no request leaves the origin, nothing fails on the page and the CSP refuses nothing. */
export const test = base.extend<{ safety: undefined }>({
  safety: [
    async ({ page, baseURL }, use) => {
      const origin = new URL(baseURL ?? '').host;
      const strangers: string[] = [];
      const faults: string[] = [];
      page.on('request', (request) => {
        const url = new URL(request.url());
        if (/^(https?|wss?):$/.test(url.protocol) && url.host !== origin) strangers.push(request.url());
      });
      page.on('websocket', (socket) => {
        if (new URL(socket.url()).host !== origin) strangers.push(socket.url());
      });
      page.on('pageerror', (error) => faults.push(error.message));
      page.on('console', (message) => {
        if (message.type() === 'error' && /Content Security Policy|violates|Uncaught/.test(message.text()))
          faults.push(message.text());
      });
      await use(undefined);
      // The page asks ahead while it is idle: an answer that a test was bending may still be on its way.
      await page.unrouteAll({ behavior: 'ignoreErrors' });
      expect(strangers, 'requests that left the origin').toEqual([]);
      expect(faults, 'errors on the page').toEqual([]);
    },
    { auto: true },
  ],
});

export { expect, type Page };
