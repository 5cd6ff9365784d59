// The page in a real browser: what people see, what it does, and that everybody can use it.
//
// Every test makes its own locks, through the interface, and looks for those only. Whatever a test does, a script's
// error, a dialog that nobody asked for, or something that the page's own security policy had to refuse fails it.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, afterEach, before, test } from 'node:test';
import { Browser, REPO, Server } from './world.mjs';

const axe = createRequire(import.meta.url).resolve('axe-core');
const server = new Server();
const as = (user) => server.as(user);
let browser;

before(async () => {
  await server.start();
  browser = await Browser.launch(server);
});
afterEach(async () => assert.deepEqual(await browser.finish(), []));
after(async () => {
  await browser.close();
  await server.stop();
});

const open = (user, options) => browser.open(user, options);
const row = (page, path) => page.locator(`tr[data-path="${path}"]`);
const seen = (page, path) => row(page, path).waitFor();
const gone = (page, path) => row(page, path).waitFor({ state: 'detached' });
let number = 0;
/** A path nobody has used. */
const fresh = (ending = 'psd') => `browser/${process.pid}-${number++}.${ending}`;

// --- Reading --------------------------------------------------------------------------------------------------------

test('without a script the page shows the locks, filters by parameters and offers no button', async () => {
  const [path, other] = [fresh(), fresh()];
  await as('ada').lock(path, { reason: 'retopology' });
  await as('eve').lock(other);
  const page = await open('ada', { javaScriptEnabled: false, query: '?mine=true' });
  assert.match(await row(page, path).textContent(), /retopology/);
  assert.match(await row(page, path).locator('time').first().textContent(), /UTC$/);
  assert.equal(await row(page, other).count(), 0);
  assert.equal(await page.locator('main button:visible:not(#filter button)').count(), 0);
  await page.fill('#search', 'nothing like it');
  await page.click('#filter button');
  assert.match(page.url(), /q=nothing/);
  assert.equal(await page.locator('#none').textContent(), 'No lock matches.');
});

test('folders lead by links', async () => {
  const path = fresh();
  await as('ada').lock(path);
  const page = await open('vic', { javaScriptEnabled: false });
  await page.locator('#folder').getByRole('link', { name: 'assets', exact: true }).click();
  assert.equal(new URL(page.url()).search, '?under=assets');
  assert.equal(await row(page, path).count(), 0);
  await page.locator('.trail a').first().click();
  assert.equal(new URL(page.url()).search, '');
  assert.equal(await row(page, path).count(), 1);
});

test('a viewer is offered nothing but to look, and refused the rest', async () => {
  const lock = await as('ada').lock(fresh());
  const page = await open('vic');
  assert.equal(await page.locator('#lock-form, #dialog, main button').count(), 0);
  const refused = [
    await as('vic').ask('POST', '/locks', { paths: [fresh()] }),
    await as('vic').ask('POST', `/locks/${lock.lease}/renew`, {}),
    await as('vic').ask('DELETE', `/locks/${lock.lease}?force=true&reason=mine`),
    await as('vic').ask('POST', '/sessions', {}),
  ];
  assert.deepEqual(refused.map(({ status, said }) => `${status} ${said.code}`), Array(4).fill('403 forbidden'));
});

test('an editor takes nothing away from another', async () => {
  const path = fresh();
  const lock = await as('eve').lock(path);
  const page = await open('ada');
  assert.equal(await row(page, path).locator('button').count(), 0);
  const forced = await as('ada').ask('DELETE', `/locks/${lock.lease}?force=true&reason=mine`);
  const stolen = await as('ada').ask('POST', '/locks', { paths: [path], steal: true, reason: 'mine' });
  assert.deepEqual([forced, stolen].map(({ status }) => status), [403, 403]);
});

test('whoever has no password is told so, by a page', async () => {
  const page = await open(null);
  assert.match(await page.textContent('main'), /password/);
  assert.equal(await page.locator('h1').count(), 1);
});

// --- What users named is text -----------------------------------------------------------------------------------------

test('paths, reasons and names that are markup, or turn the direction of text, are text', async () => {
  const path = fresh('<img src=x onerror=alert(1)>.\u202egpj');
  const page = await open('eve');
  await as('ada').lock(path, { reason: '"><script>alert(2)</script>' });
  const shown = page.locator('#locks tr', { hasText: `${process.pid}-${number - 1}` });
  const text = /<img src=x onerror=alert\(1\)>\.\\u\{202e\}gpj.*"><script>alert\(2\)<\/script>/;
  await shown.filter({ hasText: text }).waitFor();
  await page.reload();
  assert.match(await shown.textContent(), text);
  const viewer = await open('vic', { query: '?under=browser' });
  assert.match(await viewer.textContent('header'), /<b onclick=alert\(8\)>Vic/);
  const past = await open('eve', { path: `${REPO}/-/history` });
  assert.match(await past.textContent('table'), text);
  for (const where of [page, viewer, past]) assert.equal(await where.locator('table img, table script, header b').count(), 0);
});

test('a dialog shows markup as text', async () => {
  const path = fresh('"><svg onload=alert(3)>');
  await as('ada').lock(path);
  const page = await open('eve');
  const shown = page.locator('#locks tr', { hasText: `${process.pid}-${number - 1}` });
  await shown.locator('button[data-action=take-over]').click();
  assert.match(await page.textContent('#dialog-title'), /"><svg onload=alert\(3\)>\?$/);
  assert.equal(await page.locator('#dialog svg').count(), 0);
});

test('what an address says is text', async () => {
  const markup = '"><script>alert(4)</script><img src=x onerror=alert(5)>';
  const asked = encodeURIComponent(markup);
  const page = await open('eve', { query: `?q=${asked}&under=${asked}` });
  assert.equal(await page.inputValue('#search'), markup);
  for (const path of [`${REPO}/-/history?path=${asked}`, `${REPO}/-/history?cursor=${asked}`, `${REPO}?cursor=${asked}`, `/${asked}`, `/api/${asked}`]) {
    const other = await open('eve', { path });
    assert.equal(await other.locator('main script, main img').count(), 0, path);
  }
});

test('the name of a repository is text, and leads to it', async () => {
  const page = await open('eve', { path: '/' });
  await page.getByRole('link', { name: 'bad<img src=x onerror=alert(9)>' }).click();
  await page.waitForSelector('#page[data-connection=live]');
  assert.equal(await page.textContent('h1'), 'bad<img src=x onerror=alert(9)>');
  await page.fill('#lock-path', 'README.md');
  await page.press('#lock-path', 'Enter');
  await seen(page, 'README.md');
  assert.equal(await page.locator('main img').count(), 0);
});

// --- Being told -----------------------------------------------------------------------------------------------------

test('what others lock and unlock is shown, announced, and counted', async () => {
  const page = await open('vic');
  const before = Number(await page.textContent('#total'));
  const path = fresh();
  const lock = await as('ada').lock(path, { reason: 'new hat' });
  await seen(page, path);
  assert.match(await row(page, path).textContent(), /new hat/);
  assert.equal(Number(await page.textContent('#total')), before + 1);
  await page.waitForFunction((name) => document.querySelector('#announce').textContent.includes(name), path);
  await as('ada').unlock(lock);
  await gone(page, path);
  assert.equal(Number(await page.textContent('#total')), before);
});

test('what is locked in one browser is seen in another', async () => {
  const [page, witness] = [await open('ada'), await open('eve')];
  const path = fresh();
  await page.fill('#lock-path', path);
  await page.click('#lock-submit');
  await seen(witness, path);
  assert.match(await row(witness, path).textContent(), /Ada Lovelace/);
  await row(page, path).locator('button[data-action=unlock]').click();
  await gone(witness, path);
});

test('events that the filter keeps out do not appear', async () => {
  const page = await open('ada', { query: '?mine=true' });
  const [own, other] = [fresh(), fresh()];
  await as('eve').lock(other);
  await as('ada').lock(own);
  await seen(page, own);
  assert.equal(await row(page, other).count(), 0);
});

test('search narrows at once and widens again', async () => {
  const [hero, town] = [fresh('hero'), fresh('town')];
  await as('eve').lock(hero);
  await as('eve').lock(town);
  const page = await open('vic');
  await page.fill('#search', hero.toUpperCase());
  await gone(page, town);
  await seen(page, hero);
  assert.match(page.url(), /q=/);
  await page.fill('#search', '');
  await seen(page, town);
});

test('an event takes the focus from nobody', async () => {
  const page = await open('ada');
  await page.fill('#lock-path', 'half a pa');
  const path = fresh();
  await as('eve').lock(path);
  await seen(page, path);
  assert.equal(await page.evaluate(() => document.activeElement.id), 'lock-path');
  assert.equal(await page.inputValue('#lock-path'), 'half a pa');
});

test('a lost connection is said, and what was missed is made up for', async () => {
  const page = await open('vic');
  const path = fresh();
  await page.context().setOffline(true);
  await page.waitForSelector('#connection:not([hidden])');
  await as('ada').lock(path);
  await page.context().setOffline(false);
  await page.waitForSelector('#page[data-connection=live]');
  await row(page, path).waitFor();
  assert.equal(await page.locator('#connection').isVisible(), false);
});

test('a server that stops and comes back finds its readers again', async () => {
  const pages = [await open('ada'), await open('vic')];
  const [before, after] = [fresh(), fresh()];
  await as('ada').lock(before);
  for (const page of pages) await seen(page, before);
  await server.stop();
  for (const page of pages) await page.waitForSelector('#connection:not([hidden])');
  await pages[0].fill('#lock-path', after);
  await pages[0].click('#lock-submit');
  await pages[0].locator('#lock-error', { hasText: 'cannot be reached' }).waitFor();
  await server.start();
  for (const page of pages) await page.waitForSelector('#page[data-connection=live]');
  await pages[0].click('#lock-submit');
  for (const page of pages) {
    await seen(page, after);
    assert.equal(await row(page, before).count(), 1);
  }
});

test('a session lives as long as its stream', async () => {
  const [page, witness] = [await open('ada'), await open('vic')];
  const path = fresh();
  await page.evaluate(async (name) => {
    const { api } = document.getElementById('page').dataset;
    const ask = async (what, content) => {
      const headers = { 'content-type': 'application/json' };
      const answer = await fetch(`${api}/${what}`, { method: 'POST', headers, body: JSON.stringify(content) });
      return answer.json();
    };
    const { session } = await ask('sessions', { label: 'editor plugin' });
    const stream = new EventSource(`${api}/events?session=${session}`);
    await new Promise((resolve) => stream.addEventListener('open', resolve));
    await ask('locks', { paths: [name], session });
  }, path);
  await seen(witness, path);
  assert.match(await row(witness, path).textContent(), /on editor plugin/);
  await page.context().close();
  await row(witness, path).waitFor({ state: 'detached' });
});

// --- Doing ----------------------------------------------------------------------------------------------------------

test('an editor locks a path, and gives it back', async () => {
  const page = await open('ada');
  const path = fresh();
  await page.fill('#lock-path', path);
  await page.fill('#lock-reason', 'colours');
  await page.press('#lock-reason', 'Enter');
  await seen(page, path);
  // The event may show the row before the answer to the form is here.
  await page.waitForFunction(() => document.querySelector('#lock-path').value === '');
  await row(page, path).locator('button[data-action=unlock]').click();
  await gone(page, path);
  assert.equal(await as('ada').holderOf(path), undefined);
});

test('a file of the folder is locked from there', async () => {
  const page = await open('ada', { query: '?under=assets/characters' });
  const item = page.locator('#folder li', { hasText: 'villain.psd' });
  await item.hover();
  await item.locator('button').click();
  assert.equal(await page.inputValue('#lock-path'), 'assets/characters/villain.psd');
  await page.keyboard.press('Enter');
  await seen(page, 'assets/characters/villain.psd');
  assert.match(await item.getAttribute('title'), /^locked by Ada Lovelace/);
});

test('a path that somebody holds is refused, with their name', async () => {
  const path = fresh();
  await as('eve').lock(path);
  const page = await open('ada');
  await page.fill('#lock-path', path);
  await page.click('#lock-submit');
  await page.waitForSelector('#lock-error:not(:empty)');
  assert.match(await page.textContent('#lock-error'), /Eve/);
  assert.equal(await page.inputValue('#lock-path'), path);
});

test('an admin takes over, with a reason only', async () => {
  const path = fresh();
  await as('ada').lock(path);
  const [page, witness] = [await open('eve'), await open('ada')];
  await row(page, path).locator('button[data-action=take-over]').click();
  assert.equal(await page.evaluate(() => document.activeElement.id), 'dialog-reason');
  await page.click('#dialog-ok');
  assert.equal(await page.locator('#dialog').isVisible(), true, 'no reason was given');
  await page.fill('#dialog-reason', 'she is on holiday');
  await page.press('#dialog-reason', 'Enter');
  await page.locator('#dialog').waitFor({ state: 'hidden' });
  await row(witness, path).filter({ hasText: 'she is on holiday' }).waitFor();
  await row(page, path).locator('button[data-action=unlock]').waitFor();
  assert.equal(await as('vic').holderOf(path), 'Eve');
});

test('an admin unlocks by force; Escape changes nothing', async () => {
  const path = fresh();
  await as('ada').lock(path);
  const page = await open('eve');
  const force = row(page, path).locator('button[data-action=force-unlock]');
  await force.click();
  await page.keyboard.press('Escape');
  assert.equal(await as('vic').holderOf(path), 'Ada Lovelace');
  await force.click();
  await page.fill('#dialog-reason', 'left the team');
  await page.click('#dialog-ok');
  await gone(page, path);
});

test('a dialog about a lock that changes hands meanwhile can no longer be answered', async () => {
  const path = fresh();
  const lock = await as('ada').lock(path);
  const page = await open('eve');
  await row(page, path).locator('button[data-action=take-over]').click();
  await as('ada').unlock(lock);
  await page.waitForSelector('#dialog-ok:disabled');
  assert.match(await page.textContent('#dialog-error'), /changed/);
});

test('the history of a path is a link away', async () => {
  const path = fresh();
  const lock = await as('ada').lock(path);
  await as('ada').unlock(lock);
  const page = await open('vic');
  await as('eve').lock(path, { reason: 'again' });
  await row(page, path).locator('[data-action=history]').click();
  await page.waitForURL(/history/);
  assert.deepEqual(await page.locator('td.what').allTextContents(), ['locked', 'unlocked', 'locked']);
});

test('a lock that nobody can read is shown, and blocks', async () => {
  const page = await open('ada', { path: '/broken' });
  assert.match(await page.locator('#locks tbody').textContent(), /unreadable/);
  assert.equal(await page.locator('#locks tbody button').count(), 0);
  await page.fill('#lock-path', 'README.md');
  await page.click('#lock-submit');
  await page.locator('#lock-error', { hasText: 'unreadable' }).waitFor();
});

// --- For everybody --------------------------------------------------------------------------------------------------

test('a row that the script made is the one that the server makes', async () => {
  // Times go on, and which buttons are for whom stands in the script's template only.
  const markup = (page, path) => row(page, path).locator('th, td').evaluateAll((cells) =>
    cells.map((cell) => cell.outerHTML.replace(/ (data-whose|title)="[^"]*"|(?<=">)[^<]*(?=<\/time>)/g, '')));
  const page = await open('eve');
  const paths = [fresh('own'), fresh('other'), fresh('folder')];
  await as('eve').lock(paths[0], { reason: '"quoted" & <marked>' });
  await as('ada').lock(paths[1]);
  await as('ada').lock(`${paths[2]}/`);
  await seen(page, paths[2]);
  const made = [];
  for (const path of paths) made.push(await markup(page, path));
  await page.reload();
  for (const path of paths) assert.deepEqual(await markup(page, path), made.shift(), path);
});

test('the first stop of the keyboard leads to the content', async () => {
  const page = await open('ada');
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to content');
  await page.keyboard.press('Enter');
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.querySelector('main').contains(document.activeElement)), true);
});

/** What axe finds fault with, and what sticks out of the window. */
async function faults(page) {
  await page.addScriptTag({ path: axe });
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).slice(0, 3).join(' ')}`);
  const fits = await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);
  return fits ? found : [...found, `${await page.evaluate(() => document.documentElement.scrollWidth)} px wide`];
}

for (const colorScheme of ['light', 'dark']) {
  for (const width of [1280, 360]) {
    test(`axe finds nothing in the ${colorScheme} pages of ${width} px, and nothing sticks out`, async () => {
      await as('ada').lock(fresh(`${'long-'.repeat(30)}name`), { reason: 'without_a_space_'.repeat(20) });
      const view = { colorScheme, viewport: { width, height: 740 }, bypassCSP: true };
      for (const path of [REPO, `${REPO}/-/history`, '/', '/api', '/broken', '/empty', '/no/such/repository']) {
        assert.deepEqual(await faults(await open('eve', { path, ...view })), [], path);
      }
      assert.deepEqual(await faults(await open(null, view)), [], 'no password');
      const page = await open('eve', view);
      await page.locator('button[data-action=take-over]').first().click();
      assert.deepEqual(await faults(page), [], 'dialog');
    });
  }
}
