/** Writes public/THIRD-PARTY-NOTICES.txt: name, version, licence text of every package that ships in the page. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
/** The npm package of lightweight-charts leaves its NOTICE out; the page's own copy is the source. */
const chartsNotice = readFileSync(join(root, 'src/features/settings/notice.ts'), 'utf8').match(/`([^`]+)`/)[1];

const shipped = Object.entries(lock.packages)
  .filter(
    ([path, info]) =>
      path !== '' && !info.dev && !info.optional && !info.devOptional && !path.includes('/node_modules/@types/'),
  )
  .map(([path, info]) => ({
    path,
    name: path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length),
    version: info.version,
    license: info.license,
  }))
  .filter(({ name }) => !name.startsWith('@types/') && name !== 'csstype' && name !== 'typescript')
  .sort((a, b) => (a.name < b.name ? -1 : 1));

const licenceText = (path) => {
  const folder = join(root, path);
  const files = readdirSync(folder).filter((name) => /^(licen[cs]e|copying|notice|ofl)/i.test(name));
  return files.map((name) => readFileSync(join(folder, name), 'utf8').trim()).join('\n\n');
};

const parts = shipped.map(({ path, name, version, license }) => {
  const notice = name === 'lightweight-charts' ? `\n\nNOTICE\n\n${chartsNotice}` : '';
  return `${'='.repeat(78)}\n${name} ${version}\nLicence: ${license ?? 'see below'}\n\n${licenceText(path) || 'The package carries no licence text of its own.'}${notice}\n`;
});
writeFileSync(
  join(root, 'public/THIRD-PARTY-NOTICES.txt'),
  `Candlewick's web page contains the following third-party software and fonts.\n\n${parts.join('\n')}`,
);
process.stdout.write(`notices of ${shipped.length} packages\n`);
