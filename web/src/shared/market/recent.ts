const KEY = 'candlewick.recent';
const KEPT = 6;

/** Symbols opened last, newest first, as "exchange:symbol"; only names are kept. */
export function recentMarkets(): string[] {
  try {
    const list: unknown = JSON.parse(localStorage.getItem(KEY) ?? '[]');
    return Array.isArray(list) ? list.filter((item): item is string => typeof item === 'string') : [];
  } catch {
    return [];
  }
}

export function rememberMarket(exchange: string, symbol: string): void {
  const name = `${exchange}:${symbol}`;
  try {
    localStorage.setItem(
      KEY,
      JSON.stringify([name, ...recentMarkets().filter((other) => other !== name)].slice(0, KEPT)),
    );
  } catch {
    // Nothing is lost but a shortcut.
  }
}
