import { useQuery } from '@tanstack/react-query';
import { Outlet } from '@tanstack/react-router';
import { Search } from 'lucide-react';
import { lazy, Suspense, useEffect, useState } from 'react';
import { statusQuery } from '@/shared/api/queries';
import { MOD, useKeys } from '@/shared/keys/keys';
import { platformClock } from '@/shared/market/platformClock';
import { useTickFeed } from '@/shared/market/tickFeed';
import { Kbd } from '@/shared/ui/Button';
import { ModeBadge, ModeLine } from '@/shared/ui/ModeBadge';
import { BrandMark } from '@/shared/ui/WickIcon';
import { useDocumentMode } from './documentMode';
import { HelpDialog } from './HelpDialog';
import { useGoTo, useRoom } from './navigation';
import { Rail } from './Rail';
import styles from './Shell.module.css';
import { StatusBar } from './StatusBar';

const Palette = lazy(() => import('./Palette'));

/** The frame of every room: rail, title, palette, mode, status bar. */
export function Shell() {
  const { data: status, isError, dataUpdatedAt } = useQuery(statusQuery());
  const room = useRoom();
  const goTo = useGoTo();
  const [palette, setPalette] = useState(false);
  const [help, setHelp] = useState(false);
  useTickFeed();
  useEffect(() => {
    if (status && dataUpdatedAt) platformClock.observe(status.now);
  }, [status, dataUpdatedAt]);
  useDocumentMode(status?.mode ?? null, room);
  useKeys({
    'mod+k': () => setPalette((open) => !open),
    '?': () => setHelp(true),
    'g m': () => goTo('markets'),
    'g c': () => goTo('chart'),
    'g ,': () => goTo('settings'),
  });
  return (
    <div className={styles.shell}>
      {status ? <ModeLine mode={status.mode} /> : null}
      <a className={styles.skip} href="#room">
        Skip to the room
      </a>
      <Rail onHelp={() => setHelp(true)} />
      <header className={styles.top}>
        <span className={styles.mark}>
          <BrandMark size={26} />
        </span>
        <h1 className={styles.title}>{room.title}</h1>
        <button
          type="button"
          className={styles.search}
          onClick={() => setPalette(true)}
          aria-keyshortcuts="Control+K Meta+K"
        >
          <Search aria-hidden="true" />
          <span className={styles.searchText}>Jump to symbol or action</span>
          <span className={styles.searchKey}>
            <Kbd>{`${MOD} K`}</Kbd>
          </span>
        </button>
        <div className={styles.mode}>
          {status ? <ModeBadge mode={status.mode} detail={status.mode_detail} /> : null}
        </div>
      </header>
      <main id="room" className={styles.main} tabIndex={-1}>
        <Outlet />
      </main>
      <StatusBar status={status ?? null} silent={isError} />
      <Suspense fallback={null}>
        {palette ? <Palette onClose={() => setPalette(false)} onHelp={() => setHelp(true)} /> : null}
      </Suspense>
      <HelpDialog open={help} onOpenChange={setHelp} />
    </div>
  );
}
