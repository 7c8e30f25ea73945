import { X } from 'lucide-react';
import { Dialog } from 'radix-ui';
import type { ReactNode } from 'react';
import { Button } from './Button';
import styles from './Drawer.module.css';
import { useReturnFocus } from './useReturnFocus';

export interface DrawerProps {
  title: string;
  open: boolean;
  onOpenChange(open: boolean): void;
  /** From a side on tablets; on phones every drawer is a sheet from below. */
  side: 'left' | 'right';
  children: ReactNode;
}

/** A side panel where there is no room for it; Esc closes, focus returns to where it came from. */
export function Drawer({ title, open, onOpenChange, side, children }: DrawerProps) {
  const focus = useReturnFocus();
  return (
    <Dialog.Root open={open} onOpenChange={onOpenChange}>
      <Dialog.Portal>
        <Dialog.Overlay className={styles.scrim ?? ''} />
        <Dialog.Content className={styles.drawer ?? ''} data-side={side} aria-describedby={undefined} {...focus}>
          <Dialog.Title className="sr-only">{title}</Dialog.Title>
          <Dialog.Close asChild>
            <Button icon className={styles.close} aria-label={`Close ${title}`}>
              <X aria-hidden="true" />
            </Button>
          </Dialog.Close>
          {children}
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
