// What the tests of the page are made from: the server, its users by the interface, and their browsers.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

export const SECOND = 1000;
export const REPO = '/team/game';

const { LATCH, WORLD, CHROMIUM } = process.env;
const QUIET = ['disable-gpu', 'disable-quic', 'no-first-run', 'disable-background-networking', 'disable-component-update', 'disable-sync'];
const args = ['--headless', '--no-sandbox', ...QUIET.map((name) => `--${name}`)];

/** The real server; it may be stopped, and started again at the same address. */
export class Server {
  port = 0;

  async start() {
    const serve = ['serve', '--root', `${WORLD}/root`, '--users', `${WORLD}/users.toml`, '--listen', `127.0.0.1:${this.port}`];
    const env = { ...process.env, GIT_LATCH_LOG: 'warn' };
    this.process = spawn(LATCH, serve, { env, stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = await once(createInterface(this.process.stdout), 'line');
    this.base = line.replace(/^listening on /, '');
    this.port = new URL(this.base).port;
  }

  async stop() {
    this.process.kill('SIGTERM');
    await once(this.process, 'exit');
  }

  /** A user by the interface. */
  as(user, repo = REPO) {
    const authorization = `Basic ${Buffer.from(`${user}:secret-${user}`).toString('base64')}`;
    const ask = async (method, path, body) => {
      const headers = { authorization, 'content-type': 'application/json' };
      const address = `${this.base}/api/v1/repos${encodeURI(repo)}/-${path}`;
      const answer = await fetch(address, { method, headers, body: body && JSON.stringify(body) });
      return { status: answer.status, said: await answer.json() };
    };
    return {
      ask,
      async lock(path, more = {}) {
        const { status, said } = await ask('POST', '/locks', { paths: [path].flat(), ...more });
        assert.ok(status === 201 || status === 200, JSON.stringify(said));
        return said.locked[0];
      },
      unlock: ({ lease }) => ask('DELETE', `/locks/${lease}`),
      async holderOf(path) {
        const { said } = await ask('GET', `/locks?path=${encodeURIComponent(path)}`);
        return said.locks[0]?.owner.name;
      },
    };
  }
}

/** What a person does who has no password: a browser without a window has no button to cancel its question. */
async function dismissLogin(route) {
  const response = await route.fetch();
  const { 'www-authenticate': question, ...headers } = response.headers();
  await route.fulfill({ response, headers });
}

/** A browser; each page it opens is somebody's own, and notes what went wrong in it. */
export class Browser {
  opened = [];

  static async launch(server) {
    const browser = new Browser();
    browser.server = server;
    browser.chromium = await chromium.launch({ executablePath: CHROMIUM, args });
    return browser;
  }

  /** Opens an address as a user, or as nobody; of a repository's page, waits until it is told of events. */
  async open(user, { path = REPO, query = '', ...options } = {}) {
    const credentials = { username: user, password: `secret-${user}`, send: 'always' };
    const context = await this.chromium.newContext({ ...(user && { httpCredentials: credentials }), ...options });
    const page = await context.newPage();
    this.opened.push(page);
    // Long enough for the busiest machine: only what never comes fails.
    page.setDefaultTimeout(30 * SECOND);
    await this.#note(page);
    if (!user) await page.route('**', dismissLogin);
    await page.goto(this.server.base + path + query);
    const isLive = options.javaScriptEnabled !== false && (await page.locator('#page[data-api]').count());
    if (isLive) await page.waitForSelector('#page[data-connection=live]');
    return page;
  }

  async #note(page) {
    page.complaints = [];
    const note = (text) => page.complaints.push(text);
    page.on('pageerror', (error) => note(String(error)));
    page.on('dialog', (dialog) => note(`a script said: ${dialog.message()}`) && dialog.dismiss());
    await page.exposeFunction('violated', note);
    await page.addInitScript(() =>
      addEventListener('securitypolicyviolation', (event) =>
        globalThis.violated(`refused by the page's policy: ${event.violatedDirective} ${event.blockedURI}`)));
  }

  /** Closes all pages; what went wrong in them. */
  async finish() {
    const complaints = this.opened.flatMap((page) => page.complaints);
    for (const page of this.opened.splice(0)) await page.context().close();
    return complaints;
  }

  close() {
    return this.chromium.close();
  }
}
