import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { artefact, candlesDrawn, expect, test, venue } from './page';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const ROOMS = ['/markets', '/chart/binance/BTC-USDT/15m', '/settings'];
const WIDTHS = [390, 768, 1024, 1440, 2560];
const name = (room: string): string => room.split('/')[1] ?? '';

for (const theme of ['dark', 'light'] as const) {
  for (const room of ROOMS) {
    test(`${name(room)} ${theme}: no horizontal scroll at any width, nor with text at 200 %`, async ({
      page,
      request,
    }) => {
      await page.emulateMedia({ colorScheme: theme });
      const devtools = await page.context().newCDPSession(page);
      for (const text of [100, 200]) {
        // The browser's own font size, as a person sets it: rem and em media queries both follow.
        await devtools.send('Page.setFontSizes', {
          fontSizes: { standard: (16 * text) / 100, fixed: (13 * text) / 100 },
        });
        for (const width of WIDTHS) {
          await page.setViewportSize({ width, height: width < 640 ? 844 : 900 });
          await page.goto(room.replace('/binance/', `/${await venue(request)}/`));
          if (room !== '/settings') await candlesDrawn(page);
          else await expect(page.getByText('Colours of money').first()).toBeVisible();
          const over = await page.evaluate(() => {
            const root = document.documentElement;
            const wide = [...document.querySelectorAll('body *')].filter((element) => {
              const box = element.getBoundingClientRect();
              return (
                box.width > 0 &&
                box.right > root.clientWidth + 1 &&
                !element.closest('[class*="scroller"], [data-testid="price-chart"], .sr-only, [role="table"]')
              );
            });
            return {
              scroll: root.scrollWidth - root.clientWidth,
              body: document.body.scrollWidth - root.clientWidth,
              wide: wide.slice(0, 3).map((e) => `${e.tagName}.${e.className}`),
            };
          });
          expect(over, `${room} at ${width} px, text ${text} %`).toEqual({ scroll: 0, body: 0, wide: [] });
          if (text === 100 || width === 1440 || width === 390) {
            await page.screenshot({
              path: artefact(`${name(room)}-${theme}-${width}${text === 200 ? '-text200' : ''}.png`),
            });
          }
        }
      }
    });

    test(`${name(room)} ${theme}: axe finds nothing`, async ({ page, request }) => {
      await page.emulateMedia({ colorScheme: theme });
      for (const width of [1440, 390]) {
        await page.setViewportSize({ width, height: 844 });
        await page.goto(room.replace('/binance/', `/${await venue(request)}/`));
        if (room !== '/settings') await candlesDrawn(page);
        else await expect(page.getByTestId('mode-badge')).toBeVisible();
        await page.evaluate(axe);
        const found = await page.evaluate(async () => {
          const result = await (
            window as unknown as {
              axe: {
                run(): Promise<{ violations: { id: string; nodes: { html: string; failureSummary: string }[] }[] }>;
              };
            }
          ).axe.run();
          return result.violations.map(
            (v) => `${v.id}: ${v.nodes.map((n) => `${n.html.slice(0, 140)} ${n.failureSummary}`).join(' | ')}`,
          );
        });
        expect(found, `${room} ${theme} ${width}`).toEqual([]);
      }
    });
  }

  test(`dialogs ${theme}: axe finds nothing in palette, keys, indicators and faults`, async ({ page, request }) => {
    await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
    await page.goto(`/chart/${await venue(request)}/BTC-USDT/15m`);
    await candlesDrawn(page);
    const check = async (what: string) => {
      await page.evaluate(axe);
      const found = await page.evaluate(async () => {
        const result = await (
          window as unknown as {
            axe: {
              run(): Promise<{ violations: { id: string; nodes: { html: string; failureSummary: string }[] }[] }>;
            };
          }
        ).axe.run();
        return result.violations.map(
          (v) => `${v.id}: ${v.nodes.map((n) => `${n.html.slice(0, 140)} ${n.failureSummary}`).join(' | ')}`,
        );
      });
      expect(found, what).toEqual([]);
      await page.screenshot({ path: artefact(`${what}-${theme}.png`) });
      await page.keyboard.press('Escape');
    };
    await page.keyboard.press('Control+k');
    await expect(page.getByRole('combobox')).toBeFocused();
    await check('palette');
    await page.keyboard.press('?');
    await expect(page.getByRole('dialog', { name: 'Keys' })).toBeVisible();
    await check('keys');
    await page.keyboard.press('i');
    await expect(page.getByRole('button', { name: /^Add SMA/ })).toBeVisible();
    await check('indicators');
    if ((await page.getByTestId('data-facts').count()) > 0) {
      await page.getByTestId('data-facts').click();
      await check('faults');
    }
  });
}

test('motion stops for those who asked for less', async ({ page }) => {
  await page.emulateMedia({ reducedMotion: 'reduce' });
  await page.goto('/markets');
  await candlesDrawn(page);
  for (let i = 0; i < 10; i += 1) {
    expect(
      await page.evaluate(
        () =>
          document
            .getAnimations()
            .filter((a) => a.playState === 'running' && (a.effect?.getComputedTiming().duration ?? 0) !== 0).length,
      ),
    ).toBe(0);
    await page.waitForTimeout(100);
  }
});
