import { useEffect, useRef } from 'react';
import { getLook } from '../theme/look';

/** Names are `KeyboardEvent.key` in lower case; "g m" is a sequence, "mod+k" is Ctrl or Cmd. */
export type KeyMap = Record<string, (event: KeyboardEvent) => void>;

/** How long the second key of a sequence may take. */
const SEQUENCE_MS = 2000;

function typing(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
}

function inDialog(): boolean {
  return document.querySelector('[role="dialog"]') !== null;
}

/** The name of a pressed key as a map writes it. */
export function keyName(event: KeyboardEvent): string {
  const key = event.key.toLowerCase();
  return event.ctrlKey || event.metaKey ? `mod+${key}` : key;
}

/** Page-wide keys while the component lives. Single keys rest while someone types, in dialogs, and when turned off. */
export function useKeys(map: KeyMap): void {
  const current = useRef(map);
  current.current = map;
  useEffect(() => {
    let first: { key: string; at: number } | null = null;
    const onKey = (event: KeyboardEvent): void => {
      if (event.defaultPrevented || event.altKey || event.isComposing) return;
      const name = keyName(event);
      const modified = name.startsWith('mod+');
      if (!modified && (typing(event.target) || inDialog() || !getLook().singleKeys)) return;
      const sequence = first && event.timeStamp - first.at < SEQUENCE_MS ? `${first.key} ${name}` : '';
      const run = (sequence && current.current[sequence]) || current.current[name];
      first = modified ? null : { key: name, at: event.timeStamp };
      if (!run) return;
      // A finished sequence must not also fire its last key alone.
      if (sequence && !current.current[sequence] && first && sequence.startsWith('g ')) return;
      event.preventDefault();
      run(event);
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, []);
}

export const isMac = typeof navigator !== 'undefined' && /Mac|iPhone|iPad/.test(navigator.userAgent);
/** As printed on buttons. */
export const MOD = isMac ? '⌘' : 'Ctrl';
