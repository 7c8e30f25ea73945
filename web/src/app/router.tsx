import type { QueryClient } from '@tanstack/react-query';
import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  lazyRouteComponent,
  redirect,
} from '@tanstack/react-router';
import { asTimeframe } from '@/shared/format/market';
import { DEFAULT_TIMEFRAME } from '@/shared/market/defaults';
import { askAhead } from '@/shared/market/seriesFeed';
import { Shell } from './Shell';

export interface MarketsSearch {
  exchange?: string | undefined;
  symbol?: string | undefined;
  tf?: string | undefined;
  ind?: string | undefined;
}
export interface ChartSearch {
  ind?: string | undefined;
}

const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);
/** An empty list is a choice (no overlays), so it stays in the URL. */
const list = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

const rootRoute = createRootRouteWithContext<{ client: QueryClient }>()({ component: Shell });

const indexRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/',
  beforeLoad: () => {
    throw redirect({ to: '/markets', replace: true });
  },
});

export const marketsRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/markets',
  validateSearch: (search: Record<string, unknown>): MarketsSearch => ({
    exchange: text(search.exchange),
    symbol: text(search.symbol)?.toUpperCase(),
    tf: text(search.tf) === undefined ? undefined : asTimeframe(search.tf, DEFAULT_TIMEFRAME),
    ind: list(search.ind),
  }),
  component: lazyRouteComponent(() => import('./MarketsRoute'), 'MarketsRoute'),
});

export const chartRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/chart/$exchange/$symbol/$tf',
  validateSearch: (search: Record<string, unknown>): ChartSearch => ({ ind: list(search.ind) }),
  // While the room's code is on its way, not after it. Nobody waits for it: the room tells its own states.
  loader: ({ context, params: { exchange, symbol, tf } }) =>
    askAhead(context.client, { exchange, symbol: symbol.toUpperCase(), timeframe: asTimeframe(tf, DEFAULT_TIMEFRAME) }),
  component: lazyRouteComponent(() => import('./ChartRoute'), 'ChartRoute'),
});

const settingsRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/settings',
  component: lazyRouteComponent(() => import('@/features/settings/SettingsPage'), 'SettingsPage'),
});

const routeTree = rootRoute.addChildren([indexRoute, marketsRoute, chartRoute, settingsRoute]);

/** Plain words in the URL: `?symbol=BTC-USDT&ind=ema:21,vwap`, no JSON, nothing hidden. */
export function parseSearch(search: string): Record<string, string> {
  return Object.fromEntries(new URLSearchParams(search));
}

export function stringifySearch(search: Record<string, unknown>): string {
  const parts = Object.entries(search)
    .filter(([, value]) => value !== undefined && value !== null)
    .map(
      ([key, value]) =>
        `${encodeURIComponent(key)}=${encodeURIComponent(String(value)).replace(/%3A/g, ':').replace(/%2C/g, ',')}`,
    );
  return parts.length > 0 ? `?${parts.join('&')}` : '';
}

export function makeRouter(client: QueryClient) {
  return createRouter({
    routeTree,
    context: { client },
    parseSearch,
    stringifySearch,
    defaultPreload: 'intent',
    defaultNotFoundComponent: NotFound,
  });
}

function NotFound() {
  return (
    <p>
      No room has this address. <a href="/markets">Go to Markets</a>
    </p>
  );
}

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof makeRouter>;
  }
}
