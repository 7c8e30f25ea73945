import { useEffect, useState } from 'react';

/**
 * The platform's time between two answers of /api/v1/status. A replay at 60x runs its clock 60x as fast,
 * so the pace is taken from the answers themselves.
 */
export class PlatformClock {
  private platform = 0;
  private local = 0;
  private rate = 1;

  constructor(private readonly read: () => number = () => performance.now()) {}

  get known(): boolean {
    return this.local !== 0;
  }

  observe(now: number): void {
    const local = this.read();
    const apart = local - this.local;
    if (this.local !== 0 && apart > 200) {
      const pace = (now - this.platform) / apart;
      // Network jitter must not make a live clock run odd: near 1 is 1, and time never runs back.
      this.rate = Math.abs(pace - 1) < 0.25 ? 1 : Math.max(0, pace);
    }
    this.platform = now;
    this.local = local;
  }

  /** Platform time in ms UTC; 0 before the first answer. */
  now(): number {
    if (this.local === 0) return 0;
    // A server that has gone silent does not make time: at most five seconds are guessed.
    return this.platform + this.rate * Math.min(5000, this.read() - this.local);
  }

  /** Platform milliseconds that pass in one of ours. */
  get pace(): number {
    return this.rate;
  }
}

export const platformClock = new PlatformClock();

/** Re-render each `everyMs` with the platform's time. */
export function usePlatformNow(everyMs = 1000): number {
  const [now, setNow] = useState(() => platformClock.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(platformClock.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}
