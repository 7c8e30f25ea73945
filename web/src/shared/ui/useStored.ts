import { useState } from 'react';

/** A number this browser remembers, such as a panel's width. */
export function useStoredNumber(key: string, fallback: number): [number, (value: number) => void] {
  const [value, setValue] = useState(() => {
    try {
      const stored = Number(localStorage.getItem(key));
      return Number.isFinite(stored) && stored > 0 ? stored : fallback;
    } catch {
      return fallback;
    }
  });
  const store = (next: number): void => {
    setValue(next);
    try {
      localStorage.setItem(key, String(next));
    } catch {
      // Kept as long as the page lives.
    }
  };
  return [value, store];
}
