import { ToggleGroup } from 'radix-ui';
import styles from './Segmented.module.css';

export interface SegmentedProps<T extends string> {
  label: string;
  options: readonly { value: T; label: string; hint?: string }[];
  value: T;
  onChange(value: T): void;
  /** The pointer or the focus came upon a choice: time to make ready for it. */
  onIntent?(value: T): void;
  className?: string | undefined;
}

/** One of a few, side by side; arrows move, Enter or Space chooses. */
export function Segmented<T extends string>(props: SegmentedProps<T>) {
  const { label, options, value, onChange, onIntent, className } = props;
  return (
    <ToggleGroup.Root
      type="single"
      aria-label={label}
      value={value}
      // Radix gives '' when the chosen one is pressed again; there is always one chosen.
      onValueChange={(next) => next && onChange(next as T)}
      className={[styles.group, className].filter(Boolean).join(' ')}
    >
      {options.map((option) => (
        <ToggleGroup.Item
          key={option.value}
          value={option.value}
          className={styles.item ?? ''}
          title={option.hint}
          onPointerEnter={() => onIntent?.(option.value)}
          onFocus={() => onIntent?.(option.value)}
        >
          {option.label}
        </ToggleGroup.Item>
      ))}
    </ToggleGroup.Root>
  );
}
