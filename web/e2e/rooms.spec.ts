import { artefact, candlesDrawn, chart, expect, paintedPixels, test, venue } from './page';

/** The timeframes with a key, and their minutes. */
const MAIN = { '1m': 1, '5m': 5, '15m': 15, '1h': 60, '4h': 240, '1d': 1440 };

test.describe('candles', () => {
  for (const room of ['markets', 'chart']) {
    test(`are drawn and move in ${room}`, async ({ page, request }) => {
      await page.goto(room === 'markets' ? '/markets' : `/chart/${await venue(request)}/BTC-USDT/1m`);
      await candlesDrawn(page);
      expect(await paintedPixels(page)).toBeGreaterThan(500);
      const before = await chart(page).getAttribute('data-last-close');
      await expect.poll(() => chart(page).getAttribute('data-last-close'), { timeout: 20_000 }).not.toBe(before);
      await page.screenshot({ path: artefact(`moving-${room}.png`) });
    });
  }

  test('of every main timeframe come by its key, and the URL says which', async ({ page }) => {
    await page.goto('/markets?symbol=BTC-USDT&tf=15m');
    await candlesDrawn(page);
    for (const [key, [timeframe, minutes]] of Object.entries(MAIN).entries()) {
      await page.keyboard.press(String(key + 1));
      await expect(page).toHaveURL(new RegExp(`tf=${timeframe}`));
      await expect(page.getByRole('radio', { name: timeframe, exact: true }).first()).toBeChecked();
      await expect.poll(async () => Number((await chart(page).getAttribute('data-bars')) ?? 0)).toBeGreaterThan(5);
      // The newest bar is the one in progress, and it opened where such a bar may.
      const opened = async () => Number(await chart(page).getAttribute('data-last-open-time'));
      await expect.poll(async () => (await opened()) % (minutes * 60_000)).toBe(0);
      const { now } = await (await page.request.get('/api/v1/status')).json();
      expect(now - (await opened())).toBeLessThan((minutes + 1.5) * 60_000);
      await page.screenshot({ path: artefact(`moving-${timeframe}.png`) });
    }
  });

  test('reach back into history when the chart is moved left', async ({ page, request }) => {
    await page.goto(`/chart/${await venue(request)}/BTC-USDT/1m`);
    await candlesDrawn(page);
    const bars = async () => Number(await chart(page).getAttribute('data-bars'));
    const before = await bars();
    await page.getByRole('region', { name: /1m candles/ }).focus();
    await page.keyboard.press('Home');
    await expect.poll(bars, { timeout: 15_000 }).toBeGreaterThan(before + 50);
  });

  for (const room of ['markets', 'chart']) {
    test(`of ${room} are asked for once, and before the page's own code runs`, async ({ page, request }) => {
      const asked: string[] = [];
      page.on('request', (r) => asked.push(new URL(r.url()).pathname));
      await page.goto(room === 'markets' ? '/markets' : `/chart/${await venue(request)}/BTC-USDT/15m`);
      await candlesDrawn(page);
      const candles = `/ohlcv/${await venue(request)}/BTC-USDT/15m`;
      expect(asked.filter((path) => path === candles)).toHaveLength(1);
      // What the page asks for by itself comes later.
      expect(asked.indexOf(candles)).toBeLessThan(asked.indexOf('/gaps'));
    });
  }

  test('can be read as a table', async ({ page, request }) => {
    await page.goto(`/chart/${await venue(request)}/BTC-USDT/15m`);
    await candlesDrawn(page);
    await page.getByRole('button', { name: 'Show candles as a table' }).click();
    await expect(
      page
        .getByRole('region', { name: /as a table/ })
        .getByRole('row')
        .nth(1),
    ).toContainText('open');
  });
});

test.describe('the URL holds the view', () => {
  test('a deep link opens market, timeframe and overlays', async ({ page, request }) => {
    await page.goto(`/chart/${await venue(request)}/ETH-USDT/1h?ind=bollinger:20:2,rsi:14`);
    await candlesDrawn(page);
    await expect(page.getByRole('heading', { name: 'ETH/USDT' })).toBeVisible();
    await expect(page.getByRole('radio', { name: '1h' })).toBeChecked();
    await expect(page.getByText('Bollinger 20 2').first()).toBeVisible();
  });

  test('overlays are added from the catalogue and removed', async ({ page, request }) => {
    await page.goto(`/chart/${await venue(request)}/BTC-USDT/15m?ind=`);
    await candlesDrawn(page);
    await page.keyboard.press('i');
    await page.getByRole('button', { name: 'Add SMA 20' }).click();
    await expect(page).toHaveURL(/ind=sma:20/);
    await page.getByRole('button', { name: 'Remove SMA 20' }).click();
    await expect(page).toHaveURL(/ind=$/);
  });

  test('an unknown market is an error with its code, not a blank', async ({ page, request }) => {
    await page.goto(`/chart/${await venue(request)}/NOSUCH-USDT/15m`);
    const alert = page.getByRole('alert');
    await expect(alert).toBeVisible({ timeout: 15_000 });
    await expect(alert.getByRole('button', { name: 'Retry' })).toBeVisible();
    await expect(alert).toContainText(/[A-Z]+_[A-Z_]+/);
  });
});

test.describe('by keys alone', () => {
  test('a symbol is found, opened and left again', async ({ page }) => {
    await page.goto('/markets');
    await candlesDrawn(page);
    await page.keyboard.press('Control+k');
    const input = page.getByRole('combobox');
    await expect(input).toBeFocused();
    await page.keyboard.type('eth');
    await page.keyboard.press('Enter');
    await expect(page).toHaveURL(/symbol=ETH-USDT/);
    await expect(page.getByRole('dialog')).toHaveCount(0);
    await candlesDrawn(page);
    // A sequence has its time; a loaded test machine may need a second try.
    const sequence = (keys: string, url: RegExp) =>
      expect(async () => {
        for (const key of keys) await page.keyboard.press(key);
        await expect(page).toHaveURL(url, { timeout: 3000 });
      }).toPass();
    await sequence('gc', /\/chart\/\w+\/ETH-USDT\//);
    await sequence('gm', /\/markets\?.*symbol=ETH-USDT/);
  });

  test('the watchlist is filtered and walked', async ({ page }) => {
    await page.goto('/markets?symbol=BTC-USDT');
    await candlesDrawn(page);
    const list = page.getByRole('list', { name: 'Symbols' });
    await expect(list.locator('[aria-current="true"]')).toHaveAttribute('data-symbol', 'BTC-USDT');
    await page.keyboard.press('j');
    await expect(list.locator('[aria-current="true"]')).not.toHaveAttribute('data-symbol', 'BTC-USDT');
    await page.keyboard.press('k');
    await expect(list.locator('[aria-current="true"]')).toHaveAttribute('data-symbol', 'BTC-USDT');
    await page.keyboard.press('/');
    await page.keyboard.type('sol');
    await expect(list.getByRole('listitem')).toHaveCount(1);
    await page.keyboard.press('Enter');
    await expect(page).toHaveURL(/symbol=SOL-USDT/);
    await page.keyboard.press('Enter');
    await expect(page).toHaveURL(/\/chart\/\w+\/SOL-USDT\//);
  });

  test('the palette traps focus, closes by Escape and gives focus back; ? lists the keys', async ({ page }) => {
    await page.goto('/settings');
    const opener = page.getByRole('button', { name: 'Jump to symbol or action' });
    await opener.focus();
    await page.keyboard.press('Enter');
    await expect(page.getByRole('combobox')).toBeFocused();
    await page.keyboard.press('Tab');
    expect(await page.evaluate(() => document.activeElement?.closest('[role="dialog"]') !== null)).toBe(true);
    await page.keyboard.press('Escape');
    await expect(opener).toBeFocused();
    await page.keyboard.press('?');
    await expect(page.getByRole('dialog', { name: 'Keys' })).toBeVisible();
    await page.keyboard.press('Escape');
    await expect(page.getByRole('dialog')).toHaveCount(0);
  });

  test('single keys can be turned off', async ({ page }) => {
    await page.goto('/settings');
    await page
      .getByRole('radiogroup', { name: 'Single keys' })
      .or(page.getByRole('group', { name: 'Single keys' }))
      .getByText('Off')
      .click();
    await page.keyboard.press('g');
    await page.keyboard.press('m');
    await expect(page).toHaveURL(/\/settings/);
  });
});

test.describe('looks', () => {
  test('a theme is chosen, kept over a reload and set before the first paint', async ({ page }) => {
    await page.goto('/settings');
    await page.getByRole('radio', { name: 'Light' }).click();
    await expect(page.locator('html')).toHaveAttribute('data-theme', 'light');
    await page.reload({ waitUntil: 'commit' });
    await expect(page.locator('html')).toHaveAttribute('data-theme', 'light');
    await page.getByRole('radio', { name: 'Green and red' }).click();
    await expect(page.locator('html')).toHaveAttribute('data-colours', 'classic');
  });

  test('follow the system when nothing is chosen', async ({ page }) => {
    await page.emulateMedia({ colorScheme: 'light' });
    await page.goto('/markets');
    await expect(page.locator('html')).toHaveAttribute('data-theme', 'light');
    await page.emulateMedia({ colorScheme: 'dark' });
    await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark');
  });
});

test.describe('about', () => {
  test('the chart is credited, its notice and the third parties are there', async ({ page, request }) => {
    await page.goto('/markets');
    await candlesDrawn(page);
    await expect(page.getByRole('link', { name: 'Charts by TradingView' }).first()).toHaveAttribute(
      'href',
      'https://www.tradingview.com/',
    );
    await page.goto('/settings');
    await expect(page.getByTestId('charts-notice')).toContainText('TradingView, Inc.');
    const notices = await (await request.get('/THIRD-PARTY-NOTICES.txt')).text();
    expect(notices).toContain('lightweight-charts');
    expect(notices).toContain('SIL OPEN FONT LICENSE');
  });

  test('no token lies in URL or storage', async ({ page }) => {
    await page.goto('/markets');
    await candlesDrawn(page);
    const stored = await page.evaluate(() =>
      JSON.stringify({ ...localStorage, ...sessionStorage, cookie: document.cookie, url: location.href }),
    );
    expect(stored).not.toMatch(/token|secret|password|bearer|eyJ/i);
  });
});
