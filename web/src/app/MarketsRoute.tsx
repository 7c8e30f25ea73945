import { getRouteApi } from '@tanstack/react-router';
import { MarketsPage } from '@/features/markets/MarketsPage';
import { asTimeframe } from '@/shared/format/market';
import { DEFAULT_TIMEFRAME, parseIndicators, writeIndicators } from '@/shared/market/defaults';
import { useMarket, useUrlExchange } from '@/shared/market/useMarket';
import { Panel } from '@/shared/ui/Panel';

const route = getRouteApi('/markets');

/** The URL holds the view: symbol, timeframe and overlays are read from it and written to it. */
export function MarketsRoute() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const market = useMarket(search.exchange, search.symbol);
  const urlExchange = useUrlExchange();
  const timeframe = asTimeframe(search.tf, DEFAULT_TIMEFRAME);
  if (market === null) return <Panel title="Markets" state={{ kind: 'loading' }} className="grow" />;
  return (
    <MarketsPage
      exchange={market.exchange}
      symbol={market.symbol}
      timeframe={timeframe}
      indicators={parseIndicators(search.ind)}
      onSymbol={(exchange, symbol) =>
        void navigate({ search: { ...search, symbol, exchange: urlExchange({ exchange, symbol }) }, replace: true })
      }
      onTimeframe={(tf) => void navigate({ search: { ...search, tf }, replace: true })}
      onIndicators={(ids) => void navigate({ search: { ...search, ind: writeIndicators(ids) }, replace: true })}
      onOpenChart={(exchange, symbol) =>
        void navigate({
          to: '/chart/$exchange/$symbol/$tf',
          params: { exchange, symbol, tf: timeframe },
          search: { ind: search.ind },
        })
      }
    />
  );
}
