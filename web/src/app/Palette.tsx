import { useQuery } from '@tanstack/react-query';
import { Command } from 'cmdk';
import { Binoculars, CandlestickChart, CircleHelp, Clock, Search, Settings, SunMoon } from 'lucide-react';
import { Dialog } from 'radix-ui';
import { useMemo } from 'react';
import { symbolsQuery } from '@/shared/api/queries';
import type { SymbolInfo } from '@/shared/api/types';
import { showSymbol, venueName } from '@/shared/format/market';
import { decimalsOf, formatPrice } from '@/shared/format/numbers';
import { recentMarkets } from '@/shared/market/recent';
import { useTick } from '@/shared/market/tickFeed';
import { toggleTheme } from '@/shared/theme/look';
import { Kbd } from '@/shared/ui/Button';
import { Sparkline } from '@/shared/ui/Sparkline';
import { useReturnFocus } from '@/shared/ui/useReturnFocus';
import styles from './Dialogs.module.css';
import { useGoTo, useRoom } from './navigation';

/** Find a symbol or do something, by typing; what was opened last stands first. */
export default function Palette({ onClose, onHelp }: { onClose(): void; onHelp(): void }) {
  const symbols = useQuery(symbolsQuery()).data ?? [];
  const focus = useReturnFocus();
  const room = useRoom();
  const goTo = useGoTo();
  const recent = useMemo(recentMarkets, []);
  const ordered = [...symbols].sort((a, b) => rank(recent, a) - rank(recent, b));
  const run = (action: () => void) => () => {
    onClose();
    action();
  };
  const stay = room.name === 'chart' ? 'chart' : 'markets';
  return (
    <Dialog.Root open onOpenChange={(open) => !open && onClose()}>
      <Dialog.Portal>
        <Dialog.Overlay className={styles.scrim ?? ''} />
        <Dialog.Content className={`${styles.dialog} ${styles.palette}`} aria-describedby={undefined} {...focus}>
          <Dialog.Title className="sr-only">Jump to symbol or action</Dialog.Title>
          <Command label="Symbols and actions" loop filter={match}>
            <div className={styles.input}>
              <Search aria-hidden="true" />
              <Command.Input placeholder="Symbol or action" />
              <Kbd>esc</Kbd>
            </div>
            <Command.List className={styles.list ?? ''}>
              <Command.Empty className={styles.empty ?? ''}>
                Nothing by that name. Symbols are written like BTC/USDT.
              </Command.Empty>
              <Command.Group heading="Symbols">
                {ordered.map((info) => (
                  <SymbolItem
                    key={`${info.exchange}:${info.symbol}`}
                    info={info}
                    recent={recent.includes(`${info.exchange}:${info.symbol}`)}
                    onSelect={run(() => goTo(stay, info))}
                  />
                ))}
              </Command.Group>
              <Command.Group heading="Actions">
                <Command.Item value="go markets watchlist" onSelect={run(() => goTo('markets'))}>
                  <Binoculars aria-hidden="true" />
                  Go to Markets
                  <span className={styles.keys}>
                    <Kbd>G</Kbd>
                    <Kbd>M</Kbd>
                  </span>
                </Command.Item>
                <Command.Item value="go chart study" onSelect={run(() => goTo('chart'))}>
                  <CandlestickChart aria-hidden="true" />
                  {room.market ? `Chart ${showSymbol(room.market.symbol)}` : 'Go to Chart'}
                  <span className={styles.keys}>
                    <Kbd>G</Kbd>
                    <Kbd>C</Kbd>
                  </span>
                </Command.Item>
                <Command.Item value="switch theme dark light" onSelect={run(toggleTheme)}>
                  <SunMoon aria-hidden="true" />
                  Switch between dark and light
                </Command.Item>
                <Command.Item value="settings about notices" onSelect={run(() => goTo('settings'))}>
                  <Settings aria-hidden="true" />
                  Settings
                  <span className={styles.keys}>
                    <Kbd>G</Kbd>
                    <Kbd>,</Kbd>
                  </span>
                </Command.Item>
                <Command.Item value="keys help shortcuts" onSelect={run(onHelp)}>
                  <CircleHelp aria-hidden="true" />
                  Keys
                  <span className={styles.keys}>
                    <Kbd>?</Kbd>
                  </span>
                </Command.Item>
              </Command.Group>
            </Command.List>
          </Command>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

function rank(recent: string[], info: SymbolInfo): number {
  const at = recent.indexOf(`${info.exchange}:${info.symbol}`);
  return at < 0 ? recent.length : at;
}

/** Each typed word must occur; a hit at the front of the value counts most. */
export function match(value: string, search: string): number {
  const text = value.toLowerCase();
  const words = search.toLowerCase().replace('/', '-').split(/\s+/).filter(Boolean);
  let score = 1;
  for (const word of words) {
    const at = text.indexOf(word);
    if (at < 0) return 0;
    score *= at === 0 ? 1 : /[\s-]/.test(text[at - 1] ?? '') ? 0.8 : 0.5;
  }
  return score;
}

function SymbolItem({ info, recent, onSelect }: { info: SymbolInfo; recent: boolean; onSelect(): void }) {
  const tick = useTick(info.exchange, info.symbol);
  const up = (tick?.change_pct_24h ?? 0) >= 0;
  return (
    <Command.Item value={`${info.symbol} ${info.exchange}`} onSelect={onSelect}>
      {recent ? <Clock aria-label="recent" /> : <i className={styles.gap} />}
      <strong>{showSymbol(info.symbol)}</strong>
      <span className={styles.venue}>{venueName(info.exchange)}</span>
      <span className={styles.spark}>
        {tick?.sparkline ? <Sparkline values={tick.sparkline} tone={up ? 'up' : 'down'} /> : null}
      </span>
      <span className={styles.price}>{formatPrice(tick?.last, decimalsOf(info.price_tick))}</span>
    </Command.Item>
  );
}
