import { artefact, expect, type Page, test, venue } from './page';

const panel = (page: Page) => page.getByRole('region', { name: /^Chart BTC/ }).first();
const MINUTES_15 = 900_000;

type Row = { open_time: number; origin: string; revision: number; quality: string };

/** Serve the chart's candles as a test wants them; the socket stays silent so that they stay so. */
async function serve(page: Page, bend: (rows: Row[]) => Row[]): Promise<void> {
  await page.routeWebSocket(/\/ws\/ohlcv\//, () => {});
  await page.route('**/gaps?**', (route) => route.fulfill({ json: { gaps: [] } }));
  await page.route('**/ohlcv/**', async (route) => {
    // Older pages do not exist here.
    if (new URL(route.request().url()).searchParams.has('end'))
      return route.fulfill({ json: { candles: [], next: null } });
    const answer = await route.fetch();
    const body = await answer.json();
    const whole = (body.candles as Row[]).slice(-90).map((row, i, all) => ({
      ...row,
      origin: 'built',
      quality: 'ok',
      // Close every hole the server may have had: the test makes its own.
      open_time: (all.at(-1)?.open_time ?? 0) - (all.length - 1 - i) * MINUTES_15,
    }));
    return route.fulfill({ response: answer, json: { ...body, candles: bend(whole) } });
  });
}

const STATES: Record<string, (page: Page) => Promise<unknown>> = {
  live: (page) => serve(page, (rows) => rows),
  loading: (page) => page.route('**/ohlcv/**', () => new Promise(() => {})),
  empty: async (page) => {
    await page.routeWebSocket(/\/ws\/ohlcv\//, () => {});
    await page.route('**/ohlcv/**', (route) => route.fulfill({ json: { candles: [], next: null } }));
  },
  error: async (page) => {
    await page.routeWebSocket(/\/ws\/ohlcv\//, () => {});
    await page.route('**/ohlcv/**', (route) =>
      route.fulfill({
        status: 503,
        contentType: 'application/problem+json',
        json: {
          type: 'about:blank',
          title: 'Unavailable',
          status: 503,
          detail: 'History did not answer in 5 s',
          code: 'HISTORY_TIMEOUT',
          correlation_id: '7f3a-e1',
        },
      }),
    );
  },
  stale: (page) => serve(page, (rows) => rows.map((row) => ({ ...row, open_time: row.open_time - 8 * MINUTES_15 }))),
  offline: async (page) => {
    await serve(page, (rows) => rows);
    await page.routeWebSocket(/\/ws\/ohlcv\//, (socket) => void socket.close({ code: 4000 }));
  },
  gap: (page) => serve(page, (rows) => [...rows.slice(0, 50), ...rows.slice(58)]),
  repaired: (page) =>
    serve(page, (rows) => rows.map((row, i) => (i > 60 && i < 67 ? { ...row, origin: 'repaired', revision: 1 } : row))),
};

for (const [state, make] of Object.entries(STATES)) {
  test(`the chart panel says so when it is ${state}`, async ({ page, request }) => {
    await make(page);
    if (state === 'loading') await page.routeWebSocket(/\/ws\/ohlcv\//, () => {});
    for (const width of [1440, 390]) {
      await page.setViewportSize({ width, height: 844 });
      await page.goto(`/chart/${await venue(request)}/BTC-USDT/15m`);
      await expect(panel(page)).toHaveAttribute('data-state', state, { timeout: 20_000 });
      if (state === 'error') await expect(panel(page)).toContainText('HISTORY_TIMEOUT · 7f3a-e1');
      // At the turn of a bar the newest may still be the one before, until the next trade.
      if (state === 'stale')
        await expect(panel(page).getByRole('status')).toContainText(/stale (1h \d+|2h 0)m, last at \d\d:\d\d:\d\d/);
      if (state === 'offline') await expect(panel(page).getByRole('status')).toContainText(/offline, retry/);
      if (state === 'gap') await expect(page.getByTestId('data-facts')).toContainText('1 gap');
      if (state === 'repaired') await expect(page.getByTestId('data-facts')).toContainText('6 repaired');
      await page.waitForTimeout(400);
      await page.screenshot({ path: artefact(`state-${state}-${width}.png`) });
    }
  });
}
