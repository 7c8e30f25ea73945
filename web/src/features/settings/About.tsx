import { Panel } from '@/shared/ui/Panel';
import { BrandMark } from '@/shared/ui/WickIcon';
import { LIGHTWEIGHT_CHARTS_NOTICE } from './notice';
import styles from './SettingsPage.module.css';

/** What this is, under which terms, and what others' work it stands on. */
export function About({ version }: { version: string | null }) {
  return (
    <Panel title="About" state={{ kind: 'live' }}>
      <div className={styles.about}>
        <div className={styles.brand}>
          <BrandMark size={44} />
          <div>
            <p className={styles.name}>Candlewick</p>
            <p className={styles.quiet}>
              {version ? `Version ${version}` : 'Version unknown while the server is silent'} · Apache-2.0
            </p>
          </div>
        </div>
        <p>The wick is lit only when real money burns. Nothing in these rooms places an order.</p>
        <h3>Charts</h3>
        <pre className={styles.notice} data-testid="charts-notice">
          {LIGHTWEIGHT_CHARTS_NOTICE}
        </pre>
        <p>
          Charts by{' '}
          <a href="https://www.tradingview.com/" target="_blank" rel="noreferrer noopener">
            TradingView
          </a>
          .
        </p>
        <h3>Third parties</h3>
        <p>
          <a href="/THIRD-PARTY-NOTICES.txt" target="_blank" rel="noreferrer">
            Notices and licences of everything in this page
          </a>
        </p>
      </div>
    </Panel>
  );
}
