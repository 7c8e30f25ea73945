/** Whose money burns: `simulated` unlit and dashed, `data` unlit (real data, no trading), `paper` outlined flame, `live` burning. */
export type Wick = 'simulated' | 'data' | 'paper' | 'live';

export function WickIcon({ wick, size = 18 }: { wick: Wick; size?: number }) {
  const dashed = wick === 'simulated' ? { strokeDasharray: '2.2 1.6' } : {};
  const flame = 'M12 1.2c2.6 2.5 3.4 4 3.4 5.6a3.4 3.4 0 0 1-6.8 0c0-1.6.8-3.1 3.4-5.6z';
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.6"
      aria-hidden="true"
      data-wick={wick}
    >
      {wick === 'paper' ? <path d={flame} /> : null}
      {wick === 'live' ? <path d={flame} fill="currentColor" stroke="none" /> : null}
      <path d={wick === 'paper' || wick === 'live' ? 'M12 10.5v2.5' : 'M12 4v9'} strokeLinecap="round" {...dashed} />
      <rect x="8.5" y="13" width="7" height="9" rx="1.2" fill={wick === 'live' ? 'currentColor' : 'none'} {...dashed} />
    </svg>
  );
}

/** The product's mark: a burning candle that is also a price bar. */
export function BrandMark({ size = 30 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
      <path d="M16 2c3.4 3.4 4.6 5.5 4.6 7.8a4.6 4.6 0 0 1-9.2 0c0-2.3 1.2-4.4 4.6-7.8z" fill="var(--flame-tip)" />
      <path d="M16 5.6c2 2.1 2.7 3.4 2.7 4.8a2.7 2.7 0 0 1-5.4 0c0-1.4.7-2.7 2.7-4.8z" fill="var(--live-to)" />
      <path d="M16 9.2c.9 1 1.3 1.6 1.3 2.3a1.3 1.3 0 0 1-2.6 0c0-.7.4-1.3 1.3-2.3z" fill="var(--flame-core)" />
      <rect x="15.2" y="13.4" width="1.6" height="4" rx=".8" fill="currentColor" />
      <rect x="10.5" y="16.5" width="11" height="9" rx="1.6" fill="currentColor" />
      <rect x="15.2" y="24" width="1.6" height="6" rx=".8" fill="currentColor" />
    </svg>
  );
}
