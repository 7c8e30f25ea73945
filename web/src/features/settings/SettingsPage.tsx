import { useQuery } from '@tanstack/react-query';
import { statusQuery } from '@/shared/api/queries';
import { type Look, setLook, useLook } from '@/shared/theme/look';
import { Panel } from '@/shared/ui/Panel';
import { Segmented } from '@/shared/ui/Segmented';
import { About } from './About';
import styles from './SettingsPage.module.css';

const THEMES: { value: Look['theme']; label: string }[] = [
  { value: 'system', label: 'As the system' },
  { value: 'dark', label: 'Dark' },
  { value: 'light', label: 'Light' },
];
const COLOURS: { value: Look['colours']; label: string }[] = [
  { value: 'flame', label: 'Flame' },
  { value: 'classic', label: 'Green and red' },
  { value: 'mono', label: 'Mono' },
];

export function SettingsPage() {
  const look = useLook();
  const status = useQuery(statusQuery()).data;
  return (
    <div className={styles.room}>
      <Panel title="Look" state={{ kind: 'live' }}>
        <div className={styles.rows}>
          <div className={styles.row}>
            <div>
              <h3>Theme</h3>
              <p>Warm soot or wax paper.</p>
            </div>
            <Segmented label="Theme" options={THEMES} value={look.theme} onChange={(theme) => setLook({ theme })} />
          </div>
          <div className={styles.row}>
            <div>
              <h3>Colours of money</h3>
              <p>Up candles are hollow and down candles filled in each of them.</p>
            </div>
            <div className={styles.choice}>
              <Swatch />
              <Segmented
                label="Colours of money"
                options={COLOURS}
                value={look.colours}
                onChange={(colours) => setLook({ colours })}
              />
            </div>
          </div>
          <div className={styles.row}>
            <div>
              <h3>Single keys</h3>
              <p>Keys such as 1 to 6, J, K and G then M. Ctrl K and the arrows always work.</p>
            </div>
            <Segmented
              label="Single keys"
              options={[
                { value: 'on', label: 'On' },
                { value: 'off', label: 'Off' },
              ]}
              value={look.singleKeys ? 'on' : 'off'}
              onChange={(value) => setLook({ singleKeys: value === 'on' })}
            />
          </div>
        </div>
      </Panel>
      <About version={status?.version ?? null} />
    </div>
  );
}

/** Two candles in the chosen colours: hollow up, filled down. */
function Swatch() {
  return (
    <svg className={styles.swatch} viewBox="0 0 34 28" aria-hidden="true">
      <path d="M9 2v5M9 19v6" stroke="var(--up)" strokeWidth="1.5" />
      <rect x="5" y="7" width="8" height="12" fill="none" stroke="var(--up)" strokeWidth="1.5" />
      <path d="M24 4v5M24 21v5" stroke="var(--down)" strokeWidth="1.5" />
      <rect x="20" y="9" width="8" height="12" fill="var(--down)" stroke="var(--down)" strokeWidth="1.5" />
    </svg>
  );
}
