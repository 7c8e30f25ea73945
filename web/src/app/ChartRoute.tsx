import { getRouteApi } from '@tanstack/react-router';
import { ChartPage } from '@/features/chart/ChartPage';
import { asTimeframe } from '@/shared/format/market';
import { DEFAULT_TIMEFRAME, parseIndicators, writeIndicators } from '@/shared/market/defaults';

const route = getRouteApi('/chart/$exchange/$symbol/$tf');

export function ChartRoute() {
  const { exchange, symbol, tf } = route.useParams();
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const go = (params: { exchange?: string; symbol?: string; tf?: string }, ind = search.ind) =>
    void navigate({
      to: '/chart/$exchange/$symbol/$tf',
      params: { exchange, symbol, tf, ...params },
      search: { ind },
      replace: true,
    });
  return (
    <ChartPage
      exchange={exchange}
      symbol={symbol.toUpperCase()}
      timeframe={asTimeframe(tf, DEFAULT_TIMEFRAME)}
      indicators={parseIndicators(search.ind)}
      onSymbol={(venue, next) => go({ exchange: venue, symbol: next })}
      onTimeframe={(next) => go({ tf: next })}
      onIndicators={(ids) => go({}, writeIndicators(ids))}
    />
  );
}
