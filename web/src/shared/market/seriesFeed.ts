import type { QueryClient } from '@tanstack/react-query';
import { ApiError } from '../api/client';
import { candlesPageQuery, indicatorsQuery, PAGE, type SeriesKey } from '../api/queries';
import type { Candle } from '../api/types';
import { CandleBook } from '../candles/candleBook';
import { IndicatorBook } from '../candles/indicatorBook';
import { timeframeMs } from '../format/market';
import { type LinkState, ResumingSocket } from '../net/socket';

export interface SeriesState {
  phase: 'loading' | 'ready' | 'empty' | 'error';
  error: ApiError | null;
  link: LinkState;
  loadingOlder: boolean;
}

/** A page asked for ahead is drawn at once while the newest comes, if no more than so many of its bars may be missing. */
const BARS_BEHIND = 2;

/** The newest page of a series if it is known already and young enough to be shown. */
function pageAhead(client: QueryClient, key: SeriesKey): Candle[] | undefined {
  const known = client.getQueryState<Candle[]>(candlesPageQuery(key).queryKey);
  const most = Math.max(10_000, BARS_BEHIND * timeframeMs(key.timeframe));
  return known && Date.now() - known.dataUpdatedAt < most ? known.data : undefined;
}

/** Ask for a series' newest page before a chart of it is made; failures are the chart's to meet. */
export function askAhead(client: QueryClient, key: SeriesKey): void {
  if (!pageAhead(client, key)) void client.prefetchQuery(candlesPageQuery(key));
}

/** One page is at most this many values; beyond it the API refuses. */
const MOST = 10_000;

/** Everything one chart needs of one series: newest page, older pages on demand, the socket, indicator pages. */
export class SeriesFeed {
  readonly book = new CandleBook();
  readonly indicators = new IndicatorBook();
  state: SeriesState = { phase: 'loading', error: null, link: { kind: 'connecting' }, loadingOlder: false };
  private readonly listeners = new Set<() => void>();
  private socket: ResumingSocket<Candle[]> | null = null;
  private timer: ReturnType<typeof setInterval> | undefined;
  private ids: readonly string[] = [];
  private exhausted = false;
  private newestOpen = 0;
  private refreshing = false;

  constructor(
    private readonly client: QueryClient,
    private readonly key: SeriesKey,
    ids: readonly string[] = [],
  ) {
    this.indicators.keep(ids);
    this.book.subscribe(() => this.onBook());
    const ahead = pageAhead(client, key);
    if (ahead) this.book.merge(ahead);
  }

  start(): void {
    const { exchange, symbol, timeframe } = this.key;
    void this.loadNewest();
    this.socket = new ResumingSocket<Candle[]>(`/ws/ohlcv/${exchange}/${symbol}/${timeframe}`, {
      onData: (candles) => this.book.merge(candles),
      onState: (link) => this.set({ link }),
      onHole: () => void this.loadNewest(0),
    });
    // The API serves indicators by request only, so the open bar's values are asked for at a calm pace.
    const pace = Math.min(5000, Math.max(1000, timeframeMs(timeframe) / 30));
    this.timer = setInterval(() => {
      if (document.visibilityState === 'visible' && this.state.link.kind === 'open') void this.refreshIndicators(2);
    }, pace);
  }

  stop(): void {
    this.socket?.close();
    this.socket = null;
    clearInterval(this.timer);
  }

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  snapshot = (): SeriesState => this.state;

  setIndicators(ids: readonly string[]): void {
    if (ids.join() === this.ids.join()) return;
    this.ids = [...ids];
    this.indicators.keep(ids);
    void this.refreshIndicators(this.book.candles.length);
  }

  retry(): void {
    this.set({ phase: 'loading', error: null });
    void this.loadNewest(0);
  }

  async loadOlder(): Promise<void> {
    const first = this.book.first;
    if (!first || this.exhausted || this.state.loadingOlder) return;
    this.set({ loadingOlder: true });
    try {
      const page = await this.client.fetchQuery(candlesPageQuery(this.key, first.open_time));
      this.exhausted = page.length === 0;
      this.book.merge(page);
      await this.fetchIndicators(page[0]?.open_time, page.length);
    } catch {
      // Asked again at the next move of the chart; what is shown stays.
    } finally {
      this.set({ loadingOlder: false });
    }
  }

  /** `staleTime`: a page of the cache that is younger (ms) will do; as the query says when not given. */
  private async loadNewest(staleTime?: number): Promise<void> {
    try {
      const query = candlesPageQuery(this.key);
      const page = await this.client.fetchQuery(staleTime === undefined ? query : { ...query, staleTime });
      const [first, last] = [page[0], this.book.last];
      // What lies between is history that the server has: no gap of the data, so none is drawn.
      if (first && last && first.open_time > last.open_time + timeframeMs(this.key.timeframe)) this.book.restart(page);
      else this.book.merge(page);
      this.set({ phase: this.book.candles.length > 0 ? 'ready' : 'empty', error: null });
    } catch (cause) {
      const error =
        cause instanceof ApiError ? cause : new ApiError('Candles could not be read', 'UNREADABLE', 0, null);
      this.set({ phase: 'error', error });
    }
  }

  private onBook(): void {
    if (this.state.phase !== 'ready' && this.book.candles.length > 0) this.set({ phase: 'ready', error: null });
    const last = this.book.last?.open_time ?? 0;
    if (last > this.newestOpen) {
      const first = this.newestOpen === 0;
      this.newestOpen = last;
      void this.refreshIndicators(first ? this.book.candles.length : 3);
    }
  }

  /** Ask again for the values of the newest `bars`. */
  private async refreshIndicators(bars: number): Promise<void> {
    const rows = this.book.candles;
    if (rows.length === 0 || this.ids.length === 0 || (this.refreshing && bars < PAGE)) return;
    this.refreshing = true;
    try {
      const from = rows[Math.max(0, rows.length - Math.min(MOST, bars))];
      await this.fetchIndicators(from?.open_time, Math.min(MOST, bars + 5));
    } catch {
      // The lines keep their last values; the next pace asks again.
    } finally {
      this.refreshing = false;
    }
  }

  private async fetchIndicators(start: number | undefined, limit: number): Promise<void> {
    if (start === undefined || this.ids.length === 0) return;
    const ids = this.ids;
    const page = await this.client.fetchQuery(indicatorsQuery(this.key, [...ids], start, limit));
    if (ids === this.ids) this.indicators.merge(page);
  }

  private set(change: Partial<SeriesState>): void {
    this.state = { ...this.state, ...change };
    for (const listener of this.listeners) listener();
  }
}
