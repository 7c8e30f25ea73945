import { X } from 'lucide-react';
import { Dialog } from 'radix-ui';
import { MOD } from '@/shared/keys/keys';
import { Button, Kbd } from '@/shared/ui/Button';
import { useReturnFocus } from '@/shared/ui/useReturnFocus';
import styles from './Dialogs.module.css';

const KEYS: { group: string; keys: [keys: string[], what: string][] }[] = [
  {
    group: 'Everywhere',
    keys: [
      [[`${MOD} K`], 'Palette: symbols and actions'],
      [['G', 'M'], 'Markets'],
      [['G', 'C'], 'Chart'],
      [['G', ','], 'Settings'],
      [['?'], 'This list'],
      [['Esc'], 'Back, close'],
    ],
  },
  {
    group: 'Markets',
    keys: [
      [['/'], 'Filter the watchlist'],
      [['J', 'K'], 'Next and previous symbol'],
      [['↵'], 'Open the symbol in Chart'],
    ],
  },
  {
    group: 'Charts',
    keys: [
      [['1', '6'], 'Timeframe 1m, 5m, 15m, 1h, 4h, 1d'],
      [['I'], 'Indicators'],
      [['←', '→'], 'Move, with Shift faster (chart focused)'],
      [['+', '−'], 'Zoom'],
      [['Home', 'End'], 'Oldest loaded, newest'],
    ],
  },
];

export function HelpDialog({ open, onOpenChange }: { open: boolean; onOpenChange(open: boolean): void }) {
  const focus = useReturnFocus();
  return (
    <Dialog.Root open={open} onOpenChange={onOpenChange}>
      <Dialog.Portal>
        <Dialog.Overlay className={styles.scrim ?? ''} />
        <Dialog.Content className={`${styles.dialog} ${styles.help}`} aria-describedby={undefined} {...focus}>
          <header className={styles.head}>
            <Dialog.Title className={styles.title ?? ''}>Keys</Dialog.Title>
            <Dialog.Close asChild>
              <Button icon aria-label="Close">
                <X aria-hidden="true" />
              </Button>
            </Dialog.Close>
          </header>
          <div className={styles.groups}>
            {KEYS.map(({ group, keys }) => (
              <section key={group}>
                <h3>{group}</h3>
                <dl>
                  {keys.map(([names, what]) => (
                    <div key={what}>
                      <dt>
                        {names.map((name) => (
                          <Kbd key={name}>{name}</Kbd>
                        ))}
                      </dt>
                      <dd>{what}</dd>
                    </div>
                  ))}
                </dl>
              </section>
            ))}
          </div>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
