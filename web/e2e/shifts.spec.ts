import { candlesDrawn, expect, test, venue } from './page';

const name = (room: string): string => room.split('/')[1] ?? '';

for (const room of ['/markets', '/chart/binance/BTC-USDT/1m']) {
  for (const width of [1440, 390]) {
    test(`${name(room)} at ${width}: nothing shifts under ticks`, async ({ page, request }) => {
      await page.setViewportSize({ width, height: 844 });
      await page.goto(room.replace('/binance/', `/${await venue(request)}/`));
      await candlesDrawn(page);
      await page.evaluate(() => document.fonts.ready);
      await page.waitForTimeout(1500);
      const shift = await page.evaluate(
        () =>
          new Promise<{ total: number; where: string[] }>((resolve) => {
            // Cumulative layout shift as the metric is defined: the largest session window, at most 5 s long, with
            // less than 1 s between its shifts.
            let total = 0;
            let session = 0;
            let first = 0;
            let last = Number.NEGATIVE_INFINITY;
            const where: string[] = [];
            new PerformanceObserver((list) => {
              for (const entry of list.getEntries() as (PerformanceEntry & {
                value: number;
                sources?: { node?: Element }[];
              })[]) {
                if (entry.startTime - last >= 1000 || entry.startTime - first >= 5000) {
                  session = 0;
                  first = entry.startTime;
                }
                last = entry.startTime;
                session += entry.value;
                total = Math.max(total, session);
                where.push(...(entry.sources ?? []).map((s) => s.node?.className ?? s.node?.nodeName ?? '?'));
              }
            }).observe({ type: 'layout-shift', buffered: false });
            setTimeout(() => resolve({ total, where: where.slice(0, 5) }), 8000);
          }),
      );
      expect(shift.total, shift.where.join(', ')).toBeLessThanOrEqual(0.01);
    });
  }
}
