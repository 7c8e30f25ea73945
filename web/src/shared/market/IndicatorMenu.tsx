import { useQuery } from '@tanstack/react-query';
import { ChartSpline, Plus, X } from 'lucide-react';
import { Popover } from 'radix-ui';
import { useState } from 'react';
import { catalogueQuery } from '../api/queries';
import type { IndicatorInfo } from '../api/types';
import { Button } from '../ui/Button';
import { indicatorName } from '../ui/price-chart/PriceChart';
import styles from './IndicatorMenu.module.css';

export interface IndicatorMenuProps {
  chosen: readonly string[];
  onChange(ids: string[]): void;
  open: boolean;
  onOpenChange(open: boolean): void;
}

/** Choose what the server draws over the candles: the chosen ones above, the catalogue with its parameters below. */
export function IndicatorMenu({ chosen, onChange, open, onOpenChange }: IndicatorMenuProps) {
  const { data } = useQuery(catalogueQuery());
  return (
    <Popover.Root open={open} onOpenChange={onOpenChange}>
      <Popover.Trigger asChild>
        <Button title="Indicators, key I">
          <ChartSpline aria-hidden="true" />
          <span className={styles.word}>Indicators</span>
          <span className={styles.count}>{chosen.length}</span>
        </Button>
      </Popover.Trigger>
      <Popover.Portal>
        <Popover.Content
          className={styles.content ?? ''}
          sideOffset={6}
          align="start"
          collisionPadding={8}
          aria-label="Indicators"
        >
          {chosen.length > 0 ? (
            <ul className={styles.chosen} aria-label="Shown">
              {chosen.map((id) => (
                <li key={id}>
                  {indicatorName(id)}
                  <button
                    type="button"
                    aria-label={`Remove ${indicatorName(id)}`}
                    onClick={() => onChange(chosen.filter((other) => other !== id))}
                  >
                    <X aria-hidden="true" />
                  </button>
                </li>
              ))}
            </ul>
          ) : (
            <p className={styles.none}>None shown yet. Add one below.</p>
          )}
          <ul className={styles.catalogue} aria-label="Add">
            {data?.map((info) => (
              <AddRow key={info.name} info={info} chosen={chosen} onAdd={(id) => onChange([...chosen, id])} />
            ))}
          </ul>
        </Popover.Content>
      </Popover.Portal>
    </Popover.Root>
  );
}

function AddRow({ info, chosen, onAdd }: { info: IndicatorInfo; chosen: readonly string[]; onAdd(id: string): void }) {
  const [values, setValues] = useState(() => info.params.map((param) => String(param.default)));
  const valid = info.params.every((param, i) => {
    const value = Number(values[i]);
    return (
      values[i] !== '' &&
      value >= param.min &&
      value <= param.max &&
      (param.type === 'float' || Number.isInteger(value))
    );
  });
  const id = [info.name, ...values].join(':');
  const shown = chosen.includes(id);
  return (
    <li>
      <form
        className={styles.row}
        onSubmit={(event) => {
          event.preventDefault();
          if (valid && !shown) onAdd(id);
        }}
      >
        <span className={styles.title}>{info.title}</span>
        {info.params.map((param, i) => (
          <input
            key={param.name}
            className={styles.number}
            inputMode="decimal"
            aria-label={`${info.title}, ${param.name}`}
            title={`${param.name}, ${param.min} to ${param.max}`}
            aria-invalid={!valid}
            value={values[i]}
            onChange={(event) => setValues(values.map((value, at) => (at === i ? event.target.value : value)))}
          />
        ))}
        <Button icon type="submit" disabled={!valid || shown} aria-label={`Add ${indicatorName(id)}`}>
          <Plus aria-hidden="true" />
        </Button>
      </form>
    </li>
  );
}
