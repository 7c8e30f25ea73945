import { useNavigate, useRouterState } from '@tanstack/react-router';
import { asTimeframe, type Timeframe } from '@/shared/format/market';
import { DEFAULT_TIMEFRAME } from '@/shared/market/defaults';
import { type Market, useMarket, useUrlExchange } from '@/shared/market/useMarket';

export type RoomName = 'markets' | 'chart' | 'settings';

export interface Room {
  name: RoomName;
  title: string;
  /** The market in view, where the room has one. */
  market: { exchange: string; symbol: string; timeframe: Timeframe } | null;
}

const TITLES: Record<RoomName, string> = { markets: 'Markets', chart: 'Chart', settings: 'Settings' };

interface Place {
  name: RoomName;
  exchange: string | undefined;
  symbol: string | undefined;
  timeframe: Timeframe;
}

/** Which room the URL names, and the market in it. */
export function useRoom(): Room {
  const place = useRouterState({
    select: (state): Place => {
      const match = state.matches[state.matches.length - 1];
      const path = match?.pathname ?? '/';
      const name: RoomName = path.startsWith('/chart')
        ? 'chart'
        : path.startsWith('/settings')
          ? 'settings'
          : 'markets';
      const given = { ...(match?.params as object), ...(match?.search as object) } as Record<
        string,
        string | undefined
      >;
      return {
        name,
        exchange: given.exchange,
        symbol: given.symbol,
        timeframe: asTimeframe(given.tf, DEFAULT_TIMEFRAME),
      };
    },
    structuralSharing: true,
  });
  const market = useMarket(place.exchange, place.symbol);
  const { name, timeframe } = place;
  return { name, title: TITLES[name], market: market && name !== 'settings' ? { ...market, timeframe } : null };
}

/** Go to a room, taking the market in view along. */
export function useGoTo(): (room: RoomName, market?: Market) => void {
  const navigate = useNavigate();
  const room = useRoom();
  const first = useMarket();
  const urlExchange = useUrlExchange();
  return (name, wanted) => {
    const market = wanted ?? room.market ?? first;
    const tf = room.market?.timeframe ?? DEFAULT_TIMEFRAME;
    if (name === 'settings' || market === null) void navigate({ to: name === 'settings' ? '/settings' : '/markets' });
    else if (name === 'chart') {
      void navigate({
        to: '/chart/$exchange/$symbol/$tf',
        params: { exchange: market.exchange, symbol: market.symbol, tf },
      });
    } else {
      void navigate({ to: '/markets', search: { exchange: urlExchange(market), symbol: market.symbol, tf } });
    }
  };
}
