import { useEffect, useRef, useState } from 'react';
import type { Tick } from '../ticks/store';
import { platformClock } from './platformClock';

/** How old a tick is and whether that is too old, in platform time; null while either clock is unknown. */
export function ageOf(
  tick: Tick | undefined,
  now: number,
  pace = platformClock.pace,
): { age: number; stale: boolean } | null {
  if (!tick || tick.ts === null || tick.ts === undefined || now === 0) return null;
  const age = Math.max(0, now - tick.ts);
  // In a fast replay a second of ours is minutes of the market: give the socket five of ours at least.
  const limit = Math.max(tick.staleAfter, 5000 * pace);
  return { age, stale: age > limit || tick.quality === 'stale' };
}

/** Age in whole seconds (as ms) of a tick that is too old, null of one that is not. */
export function staleAge(tick: Tick | undefined): number | null {
  const age = ageOf(tick, platformClock.now());
  return age?.stale ? Math.floor(age.age / 1000) * 1000 : null;
}

/** Looks each second, and renders again only when there is another age to show: most rows are fresh. */
export function useStaleAge(tick: Tick | undefined): number | null {
  const latest = useRef(tick);
  latest.current = tick;
  const [, setAge] = useState<number | null>(null);
  useEffect(() => {
    const timer = setInterval(() => setAge(staleAge(latest.current)), 1000);
    return () => clearInterval(timer);
  }, []);
  return staleAge(tick);
}
