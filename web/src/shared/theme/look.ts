import { useSyncExternalStore } from 'react';

/** How this browser shows the terminal; kept in localStorage, never sent anywhere. */
export interface Look {
  theme: 'system' | 'dark' | 'light';
  colours: 'flame' | 'classic' | 'mono';
  singleKeys: boolean;
}

const KEY = 'candlewick.look';
const DEFAULT: Look = { theme: 'system', colours: 'flame', singleKeys: true };
const listeners = new Set<() => void>();
let look: Look = read();

function read(): Look {
  try {
    return { ...DEFAULT, ...(JSON.parse(localStorage.getItem(KEY) ?? '{}') as Partial<Look>) };
  } catch {
    return DEFAULT;
  }
}

function prefersLight(): boolean {
  return typeof matchMedia === 'function' && matchMedia('(prefers-color-scheme: light)').matches;
}

export function resolvedTheme(): 'dark' | 'light' {
  if (look.theme === 'system') return prefersLight() ? 'light' : 'dark';
  return look.theme;
}

function apply(): void {
  document.documentElement.dataset.theme = resolvedTheme();
  document.documentElement.dataset.colours = look.colours;
  for (const listener of listeners) listener();
}

export function getLook(): Look {
  return look;
}

export function setLook(change: Partial<Look>): void {
  look = { ...look, ...change };
  try {
    localStorage.setItem(KEY, JSON.stringify(look));
  } catch {
    // Private windows may refuse; the choice then lasts as long as the page.
  }
  apply();
}

export function toggleTheme(): void {
  setLook({ theme: resolvedTheme() === 'dark' ? 'light' : 'dark' });
}

/** Follow the system's choice while the user has made none. */
export function followSystemTheme(): void {
  if (typeof matchMedia === 'function') {
    matchMedia('(prefers-color-scheme: light)').addEventListener('change', apply);
  }
  apply();
}

export function onLookChange(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function useLook(): Look {
  return useSyncExternalStore(onLookChange, getLook);
}

const known = new Map<string, string>();
let knownOf = '';

/**
 * The value of a token as CSS sees it now, for canvas drawing. Asked of the browser once for each look: a chart wants
 * colours for each of its bars, and each question makes the browser bring its styles up to date.
 */
export function token(name: string): string {
  const { theme, colours } = document.documentElement.dataset;
  if (knownOf !== `${theme} ${colours}`) {
    knownOf = `${theme} ${colours}`;
    known.clear();
  }
  let value = known.get(name);
  if (value === undefined) {
    value = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
    // Before its style sheet is there a page knows no token.
    if (value !== '') known.set(name, value);
  }
  return value;
}

/** A token's colour with an alpha of 0..1; tokens are six-digit hex. */
export function tokenAlpha(name: string, alpha: number): string {
  const hex = Math.round(alpha * 255)
    .toString(16)
    .padStart(2, '0');
  return `${token(name)}${hex}`;
}

/** The reader's text size as a multiple of the usual 16 px. */
export function remScale(): number {
  return Number.parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
}
