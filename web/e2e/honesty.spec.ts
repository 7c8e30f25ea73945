import { artefact, candlesDrawn, chart, expect, test, venue } from './page';

test('the mode is told by badge, line, title and favicon', async ({ page, request }) => {
  const status = await (await request.get('/api/v1/status')).json();
  const [word, wick] = status.mode === 'live' ? ['LIVE DATA', 'data'] : ['SIMULATED', 'simulated'];
  await page.goto('/markets');
  await expect(page.getByTestId('mode-badge')).toContainText(word);
  await expect(page.getByTestId('mode-badge')).toHaveAttribute('data-mode', wick);
  await expect(page.getByTestId('mode-line')).toHaveAttribute('data-mode', wick);
  await expect(page).toHaveTitle(new RegExp(`^${word} · `));
  await expect(page.locator('link[rel="icon"]')).toHaveAttribute('href', `/favicon-${wick}.svg`);
});

test('each mode looks its own, and none of them burns', async ({ page }) => {
  for (const [mode, word] of [
    ['simulated', 'SIMULATED'],
    ['replay', 'SIMULATED'],
    ['live', 'LIVE DATA'],
  ] as const) {
    await page.route('**/api/v1/status', async (route) => {
      const answer = await route.fetch();
      await route.fulfill({ response: answer, json: { ...(await answer.json()), mode, mode_detail: mode } });
    });
    await page.goto('/settings');
    const badge = page.getByTestId('mode-badge');
    await expect(badge).toContainText(word);
    const look = await badge.evaluate((element) => {
      const style = getComputedStyle(element);
      return { fill: style.backgroundColor, image: style.backgroundImage, border: style.borderStyle };
    });
    expect(look.fill).toBe('rgba(0, 0, 0, 0)');
    expect(look.image).toBe('none');
    expect(look.border).toBe(mode === 'live' ? 'solid' : 'dashed');
    await page.screenshot({ path: artefact(`mode-${mode}.png`), clip: { x: 0, y: 0, width: 1440, height: 60 } });
    await page.unroute('**/api/v1/status');
  }
});

test('a cut socket is shown within a second, last values stay, and it heals', async ({ page }) => {
  // The wire is cut inside the page, so that the delay measured is the page's and not the test driver's.
  await page.addInitScript(() => {
    const Real = window.WebSocket;
    const wire = { open: new Set<WebSocket>(), refuse: false, cutAt: 0, seen: {} as Record<string, number> };
    class Cuttable extends Real {
      constructor(url: string | URL) {
        super(url);
        wire.open.add(this);
        this.addEventListener('close', () => wire.open.delete(this));
        if (wire.refuse) this.close();
      }
    }
    Object.assign(window, { WebSocket: Cuttable, wire });
  });
  type Wire = { wire: { open: Set<WebSocket>; refuse: boolean; cutAt: number; seen: Record<string, number> } };
  await page.goto('/markets');
  await candlesDrawn(page);
  await expect(page.getByRole('region', { name: 'Order book' })).toHaveAttribute('data-state', 'live');
  await page.evaluate(() => {
    const { wire } = window as unknown as Wire;
    const look = () => {
      const status = document.querySelector('[data-testid="feed-state"]');
      if (status?.textContent?.includes('offline')) wire.seen.status ??= performance.now();
      for (const panel of document.querySelectorAll('[data-state="offline"]')) {
        wire.seen[panel.getAttribute('aria-label') ?? panel.querySelector('h2')?.textContent ?? ''] ??=
          performance.now();
      }
    };
    new MutationObserver(look).observe(document.body, {
      subtree: true,
      childList: true,
      characterData: true,
      attributes: true,
    });
    wire.refuse = true;
    wire.cutAt = performance.now();
    for (const socket of wire.open) socket.close();
  });
  await expect(page.getByTestId('feed-state')).toContainText('offline');
  for (const region of ['Watchlist', 'Order book', 'Trades', /^Chart/]) {
    await expect(page.getByRole('region', { name: region })).toHaveAttribute('data-state', 'offline');
  }
  const delays = await page.evaluate(() => {
    const { wire } = window as unknown as Wire;
    return Object.fromEntries(Object.entries(wire.seen).map(([what, at]) => [what, Math.round(at - wire.cutAt)]));
  });
  expect(Object.keys(delays).length).toBeGreaterThanOrEqual(5);
  expect(Math.max(...Object.values(delays)), JSON.stringify(delays)).toBeLessThan(1000);
  await expect(page.getByRole('status').first()).toContainText(/offline, retry/);
  await expect(page.locator('[data-symbol="BTC-USDT"]')).toContainText(/BTC[\d,.]{4,}/);
  expect(Number(await chart(page).getAttribute('data-bars'))).toBeGreaterThan(5);
  await page.screenshot({ path: artefact('offline-1440.png') });
  await page.evaluate(() => {
    (window as unknown as Wire).wire.refuse = false;
  });
  await expect(page.getByTestId('feed-state')).not.toContainText('offline', { timeout: 30_000 });
  await expect(page.getByRole('region', { name: 'Watchlist' })).toHaveAttribute('data-state', 'live', {
    timeout: 30_000,
  });
});

test('gaps and repairs that the API reports are drawn and worded', async ({ page, request }) => {
  // The answer is bent here, so that the same test holds against any server: six candles out, four repaired.
  let hole: { start: number; end: number } | null = null;
  await page.route('**/ohlcv/**/15m?**', async (route) => {
    const answer = await route.fetch();
    const body = await answer.json();
    const rows = body.candles as { open_time: number; origin: string; revision: number; final: boolean }[];
    if (rows.length > 60) {
      const at = rows.length - 40;
      hole = { start: rows[at]?.open_time ?? 0, end: rows[at + 6]?.open_time ?? 0 };
      rows.splice(at, 6);
      for (const row of rows.slice(-20, -16)) Object.assign(row, { origin: 'repaired', revision: 9 });
    }
    await route.fulfill({ response: answer, json: body });
  });
  await page.routeWebSocket(/\/ws\/ohlcv\//, () => {});
  await page.route('**/gaps?**', async (route) => {
    const entry = {
      id: 'g',
      exchange: 'any',
      symbol: 'BTC-USDT',
      ...hole,
      reason: 'silence',
      state: 'open',
      trades_missing: null,
      detected_at: hole?.start ?? 0,
      closed_at: null,
      detail: '',
    };
    await route.fulfill({ json: { gaps: hole ? [entry] : [] } });
  });
  await page.goto(`/chart/${await venue(request)}/BTC-USDT/15m`);
  await candlesDrawn(page);
  await expect(chart(page)).toHaveAttribute('data-holes', /[1-9]/);
  await expect.poll(async () => Number(await chart(page).getAttribute('data-repaired'))).toBeGreaterThanOrEqual(4);
  const facts = page.getByTestId('data-facts');
  await expect(facts).toContainText('gap');
  await expect(facts).toContainText('repaired');
  await facts.click();
  await expect(page.getByText(/Feed silent 1 h 30 min/).last()).toBeVisible({ timeout: 10_000 });
  await page.screenshot({ path: artefact('faults-1440.png') });
});

test('a symbol gone quiet is greyed with its age', async ({ page }) => {
  await page.route('**/tickers', async (route) => {
    const answer = await route.fetch();
    const body = await answer.json();
    for (const ticker of body.tickers) if (ticker.symbol === 'XRP-USDT') ticker.ts -= 3_600_000;
    await route.fulfill({ response: answer, json: body });
  });
  await page.routeWebSocket(/\/ws\/tickers/, () => {});
  await page.goto('/markets');
  const row = page.locator('[data-symbol="XRP-USDT"]');
  await expect(row).toHaveAttribute('data-stale', 'true', { timeout: 10_000 });
  await expect(row).toContainText(/stale, /);
});
