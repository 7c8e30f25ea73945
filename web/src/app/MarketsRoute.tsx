import { getRouteApi } from '@tanstack/react-router';
import { MarketsPage } from '@/features/markets/MarketsPage';
import { asTimeframe } from '@/shared/format/market';
import {
  DEFAULT_EXCHANGE,
  DEFAULT_SYMBOL,
  DEFAULT_TIMEFRAME,
  parseIndicators,
  writeIndicators,
} from '@/shared/market/defaults';

const route = getRouteApi('/markets');

/** The URL holds the view: symbol, timeframe and overlays are read from it and written to it. */
export function MarketsRoute() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const exchange = search.exchange ?? DEFAULT_EXCHANGE;
  const timeframe = asTimeframe(search.tf, DEFAULT_TIMEFRAME);
  return (
    <MarketsPage
      exchange={exchange}
      symbol={search.symbol ?? DEFAULT_SYMBOL}
      timeframe={timeframe}
      indicators={parseIndicators(search.ind)}
      onSymbol={(venue, symbol) =>
        void navigate({
          search: { ...search, symbol, exchange: venue === DEFAULT_EXCHANGE ? undefined : venue },
          replace: true,
        })
      }
      onTimeframe={(tf) => void navigate({ search: { ...search, tf }, replace: true })}
      onIndicators={(ids) => void navigate({ search: { ...search, ind: writeIndicators(ids) }, replace: true })}
      onOpenChart={(venue, symbol) =>
        void navigate({
          to: '/chart/$exchange/$symbol/$tf',
          params: { exchange: venue, symbol, tf: timeframe },
          search: { ind: search.ind },
        })
      }
    />
  );
}
