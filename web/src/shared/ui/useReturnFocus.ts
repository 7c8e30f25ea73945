import { useRef } from 'react';

/**
 * Gives focus back to where it was when a dialog without a trigger of its own closes.
 * Radix gives it back to its trigger only; ours are opened by keys and from several places.
 */
export function useReturnFocus() {
  const before = useRef<HTMLElement | null>(null);
  return {
    onOpenAutoFocus: (): void => {
      before.current = document.activeElement instanceof HTMLElement ? document.activeElement : null;
    },
    onCloseAutoFocus: (event: Event): void => {
      event.preventDefault();
      before.current?.focus();
    },
  };
}
