import { useQuery } from '@tanstack/react-query';
import { symbolsQuery } from '../api/queries';
import { DEFAULT_EXCHANGE, DEFAULT_SYMBOL } from './defaults';

export interface Market {
  exchange: string;
  symbol: string;
}

/**
 * The market that an address means. A symbol alone is the first followed one of that name; nothing at all is
 * BTC/USDT or, where that is not followed, the first of the list. Null until the list is known.
 */
export function useMarket(exchange?: string, symbol?: string): Market | null {
  const { data, isError } = useQuery(symbolsQuery());
  if (exchange !== undefined && symbol !== undefined) return { exchange, symbol };
  const wanted = symbol ?? DEFAULT_SYMBOL;
  if (isError && data === undefined) return { exchange: exchange ?? DEFAULT_EXCHANGE, symbol: wanted };
  const listed = data?.filter((info) => exchange === undefined || info.exchange === exchange) ?? [];
  const first = listed[0];
  if (first === undefined) return null;
  const found = listed.find((info) => info.symbol === wanted);
  if (found) return { exchange: found.exchange, symbol: found.symbol };
  return symbol === undefined
    ? { exchange: first.exchange, symbol: first.symbol }
    : { exchange: first.exchange, symbol };
}

/** The venue as an address must say it: nothing where the symbol alone already means this market. */
export function useUrlExchange(): (market: Market) => string | undefined {
  const { data } = useQuery(symbolsQuery());
  return ({ exchange, symbol }) => {
    const first = data?.find((info) => info.symbol === symbol);
    return first === undefined || first.exchange === exchange ? undefined : exchange;
  };
}
