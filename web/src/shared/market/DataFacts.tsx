import { Popover } from 'radix-ui';
import { lackingCandles } from '../format/market';
import { formatDateTime } from '../format/time';
import { GapMark } from '../ui/GapMark';
import type { Facts } from '../ui/price-chart/chartView';
import styles from './DataFacts.module.css';

/** Counts of what is marked in the chart; opened, it lists each fault with its cause and proof. */
export function DataFacts({ facts }: { facts: Facts | null }) {
  if (!facts || (facts.holes.length === 0 && facts.repaired === 0 && facts.gapped === 0)) return null;
  const open = facts.holes.filter((hole) => !hole.settled).length;
  return (
    <Popover.Root>
      <Popover.Trigger className={styles.facts} data-testid="data-facts" title="Faults of the data in this chart">
        {facts.holes.length > 0 ? (
          <span data-open={open > 0}>
            <i className={styles.hatch} aria-hidden="true" />
            {facts.holes.length === 1 ? '1 gap' : `${facts.holes.length} gaps`}
          </span>
        ) : null}
        {facts.repaired > 0 ? (
          <span>
            <i className={styles.repaired} aria-hidden="true" />
            {`${facts.repaired} repaired`}
          </span>
        ) : null}
        {facts.gapped > 0 ? (
          <span>
            <i className={styles.gapped} aria-hidden="true" />
            {lackingCandles(facts.gapped)}
          </span>
        ) : null}
      </Popover.Trigger>
      <Popover.Portal>
        <Popover.Content
          className={styles.content ?? ''}
          sideOffset={6}
          align="end"
          collisionPadding={8}
          aria-label="Faults of the data in this chart"
        >
          <ul>
            {[...facts.holes].reverse().map((hole) => (
              <li key={hole.start}>
                <GapMark title={hole.title} detail={hole.detail} tone={hole.settled ? 'settled' : 'open'} />
                <small>{`from ${formatDateTime(hole.start)} UTC, ${hole.bars} ${hole.bars === 1 ? 'bar' : 'bars'}`}</small>
              </li>
            ))}
            {facts.repaired > 0 ? (
              <li>
                <GapMark
                  title={`${facts.repaired} repaired`}
                  detail="fetched again from the venue after a loss"
                  tone="repaired"
                />
              </li>
            ) : null}
            {facts.gapped > 0 ? (
              <li>
                <GapMark
                  title={lackingCandles(facts.gapped)}
                  detail="begun before the feed, or with a gap inside"
                  tone="open"
                />
              </li>
            ) : null}
          </ul>
        </Popover.Content>
      </Popover.Portal>
    </Popover.Root>
  );
}
