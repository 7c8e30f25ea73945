import type { Tick } from '../ticks/store';
import { platformClock, usePlatformNow } from './platformClock';

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

export function useAge(tick: Tick | undefined): { age: number; stale: boolean } | null {
  return ageOf(tick, usePlatformNow(1000));
}
