import { useEffect } from 'react';
import type { Mode } from '@/shared/api/types';
import { showSymbol, splitSymbol } from '@/shared/format/market';
import { formatPrice } from '@/shared/format/numbers';
import { ticks } from '@/shared/market/tickFeed';
import { tickKey } from '@/shared/ticks/store';
import { modeWords } from '@/shared/ui/ModeBadge';
import type { Room } from './navigation';

/** The tab tells the mode too: title prefix and favicon, with the price of the market in view. */
export function useDocumentMode(mode: Mode | null, room: Room): void {
  const { title, market } = room;
  const key = market ? tickKey(market.exchange, market.symbol) : '';
  const name = market ? showSymbol(market.symbol) : '';
  useEffect(() => {
    const icon = document.querySelector<HTMLLinkElement>('link[rel="icon"]');
    if (icon) icon.href = mode === null ? '/favicon-waiting.svg' : `/favicon-${modeWords(mode).wick}.svg`;
    const write = (): void => {
      const last = ticks.get(key)?.last ?? null;
      const digits = last === null ? 0 : last >= 1000 ? 2 : last >= 1 ? 3 : 5;
      const price = last === null ? '' : `${formatPrice(last, digits)} `;
      const view = name ? `${price}${splitSymbol(name)[0]} · ${title}` : title;
      const text = `${mode === null ? '' : `${modeWords(mode).title} · `}${view} · Candlewick`;
      if (document.title !== text) document.title = text;
    };
    write();
    const timer = setInterval(write, 1000);
    return () => clearInterval(timer);
  }, [mode, title, key, name]);
}
