// Screenshots of the page in its states, for people to look at: `node shots.mjs DIRECTORY`, started by `run`.
import { mkdirSync } from 'node:fs';
import { Browser, REPO, Server } from './world.mjs';

const directory = process.argv[2];
mkdirSync(directory, { recursive: true });
const server = new Server();
await server.start();
const browser = await Browser.launch(server);

async function shot(name, user, options = {}, act = async () => {}) {
  const { width = 1280, height = 800, dark, ...rest } = options;
  const view = { viewport: { width, height }, colorScheme: dark ? 'dark' : 'light', ...rest };
  const page = await browser.open(user, view);
  await act(page);
  await page.screenshot({ path: `${directory}/${name}.png`, fullPage: rest.full !== false });
  await browser.finish();
}

const [ada, eve] = [server.as('ada'), server.as('eve')];
await ada.lock('assets/characters/hero.psd', { reason: 'retopology of the arms' });
await eve.lock('assets/maps/town.tscn', { reason: 'new market place', ttl: '5m' });
await eve.lock('docs/', { ttl: '14d' });
await ada.lock('README.md');
const { said } = await ada.ask('POST', '/sessions', { label: 'Blender on ws-12' });
await ada.lock('models/tower.blend', { session: said.session, reason: 'windows' });
await eve.lock('assets/characters/villain.psd', { reason: 'cape' });
await eve.lock('README.md', { steal: true, reason: 'release notes are due today' });
const many = server.as('ada', '/many');
await many.lock(Array.from({ length: 300 }, (_, i) => `levels/${i % 7}/part-${i}.tscn`), { reason: 'batch' });
const long = server.as('ada', '/long');
await long.lock(`${'a-rather-long-directory-name/'.repeat(8)}and-a-file-name-that-goes-on-and-on.fbx`);
await long.lock(`${'n0space'.repeat(30)}.bin`, { reason: 'a reason that is as long as reasons may be. '.repeat(11) });
await long.lock('shört/日本語のとても長い名前のファイル.psd', { reason: 'x'.repeat(300) });

const phone = { width: 360, height: 740 };
await shot('light', 'eve');
await shot('dark', 'eve', { dark: true });
await shot('viewer-without-script', 'vic', { javaScriptEnabled: false });
await shot('phone', 'eve', phone);
await shot('phone-dark', 'ada', { ...phone, dark: true });
await shot('folder', 'ada', { query: '?under=assets/characters' });
await shot('nothing-matches', 'ada', { query: '?q=nothing+like+it' });
const dialog = (action) => (page) => page.locator(`button[data-action=${action}]`).first().click();
await shot('dialog', 'eve', {}, dialog('take-over'));
await shot('dialog-phone-dark', 'eve', { ...phone, dark: true }, dialog('force-unlock'));
await shot('refused', 'ada', {}, async (page) => {
  await page.fill('#lock-path', 'docs/manual.md');
  await page.click('#lock-submit');
  await page.waitForSelector('#lock-error:not(:empty)');
});
await shot('disconnected', 'ada', {}, async (page) => {
  await page.context().setOffline(true);
  await page.waitForSelector('#connection:not([hidden])');
});
for (const [name, view] of [['', {}], ['-phone-dark', { ...phone, dark: true }]]) {
  await shot(`history${name}`, 'vic', { path: `${REPO}/-/history`, ...view });
  await shot(`history-of-one${name}`, 'vic', { path: `${REPO}/-/history?path=README.md`, ...view });
  await shot(`repositories${name}`, 'vic', { path: '/', ...view });
  await shot(`empty${name}`, 'ada', { path: '/empty', ...view });
  await shot(`unreadable${name}`, 'eve', { path: '/broken', ...view });
  await shot(`long${name}`, 'eve', { path: '/long', ...view });
  await shot(`many${name}`, 'ada', { path: '/many', full: false, ...view });
  await shot(`interface${name}`, 'ada', { path: '/api', full: false, ...view });
  await shot(`operation${name}`, 'ada', { path: '/api#post--api-v1-repos--repo----locks', full: false, ...view });
  await shot(`not-found${name}`, 'ada', { path: '/no/such/repository', ...view });
  await shot(`no-password${name}`, null, view);
}
await browser.close();
await server.stop();
