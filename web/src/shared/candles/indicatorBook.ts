import type { Indicators } from '../api/types';

/** One drawable line of an indicator; `values` holds null where the server says there is no value. */
export interface IndicatorLine {
  key: string;
  id: string;
  name: string;
  pane: 'price' | 'own';
  output: string;
  line: 'line' | 'histogram';
  /** Fixed guides of its pane, such as 30 and 70. */
  levels: readonly number[];
  values: Map<number, number | null>;
}

/** Indicator values by open time, merged from pages; values are the server's, never computed here. */
export class IndicatorBook {
  private lines = new Map<string, IndicatorLine>();
  private ids: readonly string[] = [];
  private readonly listeners = new Set<() => void>();

  get all(): readonly IndicatorLine[] {
    return [...this.lines.values()];
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Whether this line's values are still to come: a chart that has the line keeps its place. */
  awaits(key: string): boolean {
    return !this.lines.has(key) && this.ids.includes(key.slice(0, key.lastIndexOf('/')));
  }

  /** Keep only the wanted ids, so that a removed overlay leaves the chart at once. */
  keep(ids: readonly string[]): void {
    this.ids = [...ids];
    const before = this.lines.size;
    for (const [key, line] of this.lines) if (!ids.includes(line.id)) this.lines.delete(key);
    if (this.lines.size !== before) this.tell();
  }

  merge(page: Indicators): void {
    for (const series of page.series) {
      const key = `${series.id}/${series.output}`;
      let line = this.lines.get(key);
      if (!line) {
        line = {
          key,
          id: series.id,
          name: series.name,
          pane: series.pane,
          output: series.output,
          line: series.line,
          levels: series.levels,
          values: new Map(),
        };
        this.lines.set(key, line);
      }
      page.open_times.forEach((time, i) => {
        line.values.set(time, series.values[i] ?? null);
      });
    }
    this.tell();
  }

  private tell(): void {
    for (const listener of this.listeners) listener();
  }
}
