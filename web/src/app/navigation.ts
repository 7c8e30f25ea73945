import { useNavigate, useRouterState } from '@tanstack/react-router';
import type { Timeframe } from '@/shared/format/market';
import { DEFAULT_EXCHANGE, DEFAULT_SYMBOL, DEFAULT_TIMEFRAME } from '@/shared/market/defaults';
import { recentMarkets } from '@/shared/market/recent';

export type RoomName = 'markets' | 'chart' | 'settings';

export interface Room {
  name: RoomName;
  title: string;
  /** The market in view, where the room has one. */
  market: { exchange: string; symbol: string; timeframe: Timeframe } | null;
}

const TITLES: Record<RoomName, string> = { markets: 'Markets', chart: 'Chart', settings: 'Settings' };

/** Which room the URL names, and the market in it. */
export function useRoom(): Room {
  return useRouterState({
    select: (state): Room => {
      const match = state.matches[state.matches.length - 1];
      const path = match?.pathname ?? '/';
      const name: RoomName = path.startsWith('/chart')
        ? 'chart'
        : path.startsWith('/settings')
          ? 'settings'
          : 'markets';
      if (name === 'settings') return { name, title: TITLES[name], market: null };
      const given = { ...(match?.params as object), ...(match?.search as object) } as Record<
        string,
        string | undefined
      >;
      return {
        name,
        title: TITLES[name],
        market: {
          exchange: given.exchange ?? DEFAULT_EXCHANGE,
          symbol: given.symbol ?? DEFAULT_SYMBOL,
          timeframe: (given.timeframe ?? given.tf ?? DEFAULT_TIMEFRAME) as Timeframe,
        },
      };
    },
    structuralSharing: true,
  });
}

/** Go to a room, taking the market in view along. */
export function useGoTo(): (room: RoomName, market?: { exchange: string; symbol: string }) => void {
  const navigate = useNavigate();
  const room = useRoom();
  return (name, wanted) => {
    const [exchange = DEFAULT_EXCHANGE, symbol = DEFAULT_SYMBOL] = recentMarkets()[0]?.split(':') ?? [];
    const market = wanted ?? room.market ?? { exchange, symbol };
    const timeframe = room.market?.timeframe ?? DEFAULT_TIMEFRAME;
    if (name === 'settings') void navigate({ to: '/settings' });
    else if (name === 'chart') {
      void navigate({
        to: '/chart/$exchange/$symbol/$tf',
        params: { exchange: market.exchange, symbol: market.symbol, tf: timeframe },
      });
    } else {
      void navigate({
        to: '/markets',
        search: {
          exchange: market.exchange === DEFAULT_EXCHANGE ? undefined : market.exchange,
          symbol: market.symbol,
          tf: timeframe,
        },
      });
    }
  };
}
