// Keeps the page of a repository up to date, and carries out what its buttons say. Follows `messages.js` in one script.
//
// The server renders everything; this changes what it rendered. A row's lock is the JSON in its `data-lock`, a new row
// is a copy of the template `#row`. Events are applied as they come. Whenever some may have been missed, the page is
// loaded again behind the scenes and what differs is taken over: so nothing here has to be cleverer than the server.

// --- Rows -----------------------------------------------------------------------------------------------------------

/** What is shown: key of the path → row and lock. */
const rows = new Map();
const body = $('locks')?.tBodies[0];

function tick() {
  document.querySelectorAll('time').forEach(paintTime);
  for (const { row, lock } of rows.values()) paintBadge(row, lock);
}

function paintLife(row, lock) {
  row.dataset.lock = JSON.stringify(lock);
  const ends = row.querySelector('.ends');
  const shown = ends.querySelector('time');
  if (!lock.expires_at) ends.replaceChildren(lock.owner ? 'unlocked' : 'unknown');
  else if (shown?.dateTime !== lock.expires_at) ends.replaceChildren(timeNode('until', lock.expires_at));
  paintBadge(row, lock);
}

/** Keeps the buttons that are for such locks, and tells them apart for those who do not see their row. */
function paintActions(row, lock) {
  for (const button of row.querySelectorAll('button')) {
    if (!button.dataset.whose.split(' ').includes(row.dataset.whose)) button.remove();
    else button.setAttribute('aria-label', `${button.textContent} ${pathOf(lock)}`);
  }
  const link = row.querySelector('[data-action=history]');
  link.setAttribute('aria-label', `History of ${pathOf(lock)}`);
  // Not `link.search`: within a template's document relative addresses lead nowhere.
  link.setAttribute('href', `${link.getAttribute('href')}?${new URLSearchParams({ path: lock.path })}`);
}

function newRow(lock) {
  const { owner } = lock;
  const row = $('row').content.firstElementChild.cloneNode(true);
  Object.assign(row.dataset, { path: lock.path, kind: lock.kind || 'file', whose: whose(lock), lease: lock.lease || '' });
  const put = (selector, text) => write(row.querySelector(selector), text);
  const shown = pathOf(lock);
  const own = shown.replace(/\/$/, '').lastIndexOf('/') + 1;
  put('.above', shown.slice(0, own));
  put('.own', shown.slice(own));
  put('.who', owner ? nameOf(owner) : 'unknown holder');
  put('.details', owner ? detailsOf(owner) : '');
  put('.reason bdi', visible(lock.reason || lock.problem || ''));
  row.querySelector('.since').replaceChildren(lock.acquired_at ? timeNode('ago', lock.acquired_at) : 'unknown');
  paintLife(row, lock);
  paintActions(row, lock);
  return row;
}

function enter(row, lock) {
  rows.set(keyOf(lock.path), { row, lock });
  present.set(idOf(lock), true);
}

/** Takes a row away. Where it had the focus, that goes to the table: to a neighbour's button would be dangerous. */
function drop(key) {
  const known = rows.get(key);
  if (!known) return;
  if (known.row.contains(document.activeElement)) $('locks-region').focus({ preventScroll: true });
  known.row.remove();
  rows.delete(key);
}

/** Whether the filter lets a lock through: the rule of the server's `Query`. */
function isWanted(lock) {
  if ($('mine').checked && !isViewers(lock)) return false;
  const [under, key] = [keyOf(page.dataset.under.replace(/\/$/, '')), keyOf(lock.path)];
  const covers = lock.kind === 'directory' && isAbove(key, under);
  if (under && key !== under && !isAbove(under, key) && !covers) return false;
  const words = [lock.path, lock.owner?.name, lock.owner?.id, lock.reason];
  return fold(words.join('\n')).includes(fold($('search').value.trim()));
}

/** The row to put a new one before; `undefined` where it belongs on another page. */
function placeOf(key) {
  const shown = [...body.rows];
  const after = shown.findIndex((row) => keyOf(row.dataset.path) > key);
  if (after === 0 && 'begins' in page.dataset) return undefined;
  if (after < 0) return 'goesOn' in page.dataset ? undefined : null;
  return shown[after];
}

function show(lock) {
  const key = keyOf(lock.path);
  const known = rows.get(key);
  if (known && known.lock.lease === lock.lease && lock.lease) {
    known.lock = lock;
    paintLife(known.row, lock);
    return;
  }
  drop(key);
  const place = isWanted(lock) ? placeOf(key) : undefined;
  if (place === undefined) return;
  const row = newRow(lock);
  row.classList.add('fresh');
  body.insertBefore(row, place);
  enter(row, lock);
}

// --- Events ---------------------------------------------------------------------------------------------------------

/** The number of the change the page was rendered at. */
let seq = Number(page.dataset.seq);
/** When, by the server's clock. */
let rendered = Date.parse(page.dataset.now);
/** Locks whose beginning (true) or end (false) has been counted: an event may be told twice. */
const present = new Map();

/** Counts that a lock is there or gone; whether that was news. */
function count(lock, isThere) {
  const isNews = present.get(idOf(lock)) !== isThere;
  present.set(idOf(lock), isThere);
  const change = isThere ? 1 : -1;
  if (isNews && isWanted(lock)) write($('total'), String(Math.max(0, Number($('total').textContent) + change)));
  const key = keyOf(lock.path);
  for (const item of document.querySelectorAll('#folder li[data-path]')) {
    const own = keyOf(item.dataset.path);
    if (own === key) mark(item, isThere ? lock : null);
    else if (isNews && isAbove(own, key)) {
      item.dataset.below = Math.max(0, Number(item.dataset.below) + change);
      write(item.querySelector('.count'), item.dataset.below);
    }
  }
  return isNews;
}

/** Shows a file or folder in the folder as locked, or as free. */
function mark(item, lock) {
  const since = lock?.acquired_at?.slice(0, 16).replace('T', ' ');
  const held = lock?.owner ? `locked by ${personOf(lock.owner)} since ${since} UTC` : 'blocked by an unreadable lock';
  item.toggleAttribute('data-locked', Boolean(lock));
  item.title = lock ? held : '';
  write(item.querySelector('.held .spoken'), item.title);
}

/** Applies an event; any number of times is as good as once. */
function apply(event) {
  const { lock, previous } = event;
  const isEnd = event.event === 'unlocked' || event.event === 'expired';
  const known = rows.get(keyOf(lock.path));
  const isShown = Boolean(known) && idOf(known.lock) === idOf(lock);
  // An end by time is no change and has no number of its own.
  const isOld = event.event === 'expired' ? Date.parse(event.at) <= rendered : event.seq <= seq;
  if (isOld && !(isEnd && isShown)) return;
  let isNews = false;
  if (isEnd) {
    isNews = count(lock, false);
    if (isShown) drop(keyOf(lock.path));
  } else {
    if (previous && idOf(previous) !== idOf(lock)) {
      count(previous, false);
      if (keyOf(previous.path) !== keyOf(lock.path)) drop(keyOf(previous.path));
    }
    if (event.event !== 'renewed') isNews = count(lock, true);
    show(lock);
  }
  $('none').hidden = rows.size > 0;
  if (isNews && isWanted(lock)) announce(sentence(event));
  warnDialog();
}

let told = [];

/** Says something in the live region; a flood is summed up, for it would be read out for minutes. */
function announce(text) {
  told.push(text);
  if (told.length > 1) return;
  setTimeout(() => {
    $('announce').textContent = told.length > 3 ? `${told.length} changes; ${told.at(-1)}` : told.join('. ');
    told = [];
  }, 200);
}

// --- Connection -----------------------------------------------------------------------------------------------------

let stream = null;
let retry = 0;
let retryTimer = 0;
/** How many times the page was asked for again, and which of these was the last to be answered. */
let requested = 0;
let answered = 0;
let meanwhile = [];

function setConnection(state) {
  const before = page.dataset.connection;
  page.dataset.connection = state;
  $('connection').hidden = state !== 'lost';
  write($('live'), state === 'live' ? 'live' : '');
  if (state === 'lost' && before !== 'lost') announce($('connection').textContent);
  if (state === 'live' && before === 'lost') announce('Connected again');
}

function connect() {
  clearTimeout(retryTimer);
  stream?.close();
  const mine = new EventSource(`${api}/events`);
  stream = mine;
  const receive = ({ data }) => {
    const event = JSON.parse(data);
    if (requested !== answered) meanwhile.push(event);
    apply(event);
  };
  for (const name of ['locked', 'renewed', 'unlocked', 'expired', 'stolen']) mine.addEventListener(name, receive);
  mine.addEventListener('reset', () => reload());
  mine.addEventListener('open', async () => {
    // What happened between the rendering and now was told to nobody.
    await reload();
    if (stream !== mine) return;
    retry = 0;
    setConnection('live');
  });
  // The browser's own way to reconnect gives up for good at the first answer that is no stream.
  mine.addEventListener('error', () => stream === mine && lose());
}

function disconnect() {
  clearTimeout(retryTimer);
  stream?.close();
  stream = null;
}

function lose() {
  disconnect();
  setConnection('lost');
  const wait = Math.min(15_000, 500 * 2 ** retry) * (0.75 + Math.random() / 2);
  retry += 1;
  retryTimer = setTimeout(connect, wait);
}

/** Loads the page again and takes over what differs; without success the connection counts as lost. */
async function reload() {
  requested += 1;
  const mine = requested;
  try {
    const answer = await fetch(location.href, { headers: { accept: 'text/html' }, cache: 'no-store' });
    const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
    if (mine !== requested) return;
    if (!answer.ok || !fresh.getElementById('page')?.dataset.seq) throw new Error(`status ${answer.status}`);
    adopt(fresh);
  } catch {
    if (mine !== requested) return;
    lose();
  }
  answered = mine;
  meanwhile.splice(0).forEach(apply);
}

function adopt(fresh) {
  const { dataset } = fresh.getElementById('page');
  seq = Number(dataset.seq);
  rendered = Date.parse(dataset.now);
  ahead = rendered - Date.now();
  for (const name of ['begins', 'goesOn']) {
    if (name in dataset) page.dataset[name] = '';
    else delete page.dataset[name];
  }
  present.clear();
  adoptRows([...fresh.getElementById('locks').tBodies[0].rows]);
  for (const id of ['folder', 'pages']) swap($(id), fresh.getElementById(id));
  for (const id of ['total', 'none']) write($(id), fresh.getElementById(id).textContent);
  $('none').hidden = rows.size > 0;
  tick();
  warnDialog();
}

function adoptRows(fresh) {
  const locks = new Map(fresh.map((row) => [keyOf(row.dataset.path), JSON.parse(row.dataset.lock)]));
  for (const [key, { lock }] of [...rows]) {
    if (!locks.has(key) || idOf(locks.get(key)) !== idOf(lock)) drop(key);
  }
  let next = body.firstElementChild;
  for (const row of fresh) {
    const lock = locks.get(keyOf(row.dataset.path));
    const known = rows.get(keyOf(lock.path));
    if (known) {
      known.row.hidden = false;
      known.row.toggleAttribute('data-bound', 'bound' in row.dataset);
      paintLife(known.row, lock);
      next = known.row.nextElementSibling;
    } else {
      body.insertBefore(document.adoptNode(row), next);
    }
    enter(known?.row || row, lock);
  }
}

/** Replaces a part of the page, the focus staying on the link it was on. */
function swap(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  const focused = old.contains(document.activeElement) ? document.activeElement.getAttribute('href') : null;
  old.replaceWith(document.adoptNode(fresh));
  if (focused) [...fresh.querySelectorAll('a')].find((a) => a.getAttribute('href') === focused)?.focus();
}

// --- Filter ---------------------------------------------------------------------------------------------------------

let filterTimer = 0;

function refilter() {
  for (const { row, lock } of rows.values()) row.hidden = !isWanted(lock);
  clearTimeout(filterTimer);
  filterTimer = setTimeout(() => {
    const query = new URLSearchParams();
    if ($('search').value.trim()) query.set('q', $('search').value.trim());
    if ($('mine').checked) query.set('mine', 'true');
    if (page.dataset.under) query.set('under', page.dataset.under);
    history.replaceState(null, '', query.size ? `${home}?${query}` : home);
    reload();
  }, 200);
}

// --- What buttons do ------------------------------------------------------------------------------------------------

async function ask(method, path, content) {
  const headers = { accept: 'application/json', 'content-type': 'application/json' };
  const answer = await fetch(api + path, { method, headers, body: content && JSON.stringify(content) }).catch(() => {
    throw new Error('The server cannot be reached.');
  });
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(visible(said.detail || said.title || `The server answered ${answer.status}.`));
  return said;
}

/** Does some work once, however often the button is pressed, and shows what goes wrong; whether it went well. */
async function attempt(button, complaint, work) {
  if (button.getAttribute('aria-busy') === 'true') return false;
  button.setAttribute('aria-busy', 'true');
  write(complaint, '');
  try {
    await work();
    return true;
  } catch (error) {
    write(complaint, error.message);
    return false;
  } finally {
    button.removeAttribute('aria-busy');
  }
}

/** Does something to the locks. What comes of it is told by an event, or seen by loading where there are none now. */
async function change(method, path, content) {
  await ask(method, path, content);
  if (page.dataset.connection !== 'live') await reload();
}

const take = (path, reason, steal) =>
  change('POST', '/locks', { paths: [path], ...(reason && { reason }), ...(steal && { steal }) });
const giveBack = ({ lease }, force) =>
  change('DELETE', `/locks/${encodeURIComponent(lease)}${force ? `?${new URLSearchParams(force)}` : ''}`);

/** What the dialog is about. */
let asked = null;

function openDialog(action, target) {
  asked = { action, target };
  const isOwn = isViewers(target);
  const label = action === 'take-over' ? 'Take over' : 'Force unlock';
  const holder = make('bdi', '', personOf(target.owner));
  const since = ` ${isOwn ? 'have' : 'has'} held it for ${length(now() - Date.parse(target.acquired_at))}`;
  const where = target.owner.host ? `, on ${visible(target.owner.host)}` : '';
  $('dialog-title').replaceChildren(`${label} `, make('bdi', '', pathOf(target)), '?');
  $('dialog-text').replaceChildren(...(isOwn ? ['You'] : [holder]), since, where, '. The holder will be told.');
  write($('dialog-need'), isOwn ? '(optional)' : '(required)');
  write($('dialog-error'), '');
  write($('dialog-ok'), label);
  $('dialog-ok').classList.toggle('danger', action === 'force-unlock');
  $('dialog-ok').disabled = false;
  $('dialog-reason').required = !isOwn;
  $('dialog-reason').value = '';
  $('dialog').showModal();
}

/** A path may change hands while the dialog asks about the former holder. */
function warnDialog() {
  if (!$('dialog')?.open || $('dialog-ok').hasAttribute('aria-busy')) return;
  if (rows.get(keyOf(asked.target.path))?.lock.lease === asked.target.lease) return;
  write($('dialog-error'), 'This lock has changed meanwhile. Close and look again.');
  $('dialog-ok').disabled = true;
}

async function answerDialog(event) {
  event.preventDefault();
  const { action, target } = asked;
  const reason = $('dialog-reason').value.trim();
  if ($('dialog-reason').required && !reason) return write($('dialog-error'), 'A reason is required.');
  const work = () => (action === 'take-over' ? take(withSlash(target), reason, true) : giveBack(target, { force: true, reason }));
  if (await attempt($('dialog-ok'), $('dialog-error'), work)) $('dialog').close();
}

async function submitLock(event) {
  event.preventDefault();
  const [path, reason] = [$('lock-path'), $('lock-reason')];
  const isDone = await attempt($('lock-submit'), $('lock-error'), () => take(path.value.trim(), reason.value.trim()));
  path.setAttribute('aria-invalid', String(!isDone));
  if (isDone) path.value = reason.value = '';
}

function press(event) {
  const button = event.target.closest('button[data-action]');
  if (!button) return;
  const { action } = button.dataset;
  const at = button.closest('[data-path]').dataset;
  if (action === 'lock') {
    $('lock-path').value = at.kind === 'directory' ? `${at.path}/` : at.path;
    $('lock-reason').focus();
    return;
  }
  const target = rows.get(keyOf(at.path)).lock;
  if (action === 'unlock') attempt(button, $('notice'), () => giveBack(target));
  else openDialog(action, target);
}

// --- Start ----------------------------------------------------------------------------------------------------------

function listen() {
  $('filter').addEventListener('submit', (event) => event.preventDefault());
  $('filter').addEventListener('input', refilter);
  document.addEventListener('click', press);
  $('lock-form')?.addEventListener('submit', submitLock);
  $('dialog-form')?.addEventListener('submit', answerDialog);
  $('dialog-cancel')?.addEventListener('click', () => $('dialog').close());
  addEventListener('offline', lose);
  addEventListener('online', connect);
  addEventListener('pagehide', disconnect);
  addEventListener('pageshow', (event) => event.persisted && connect());
  // Browsers allow few connections to one server: tabs that nobody looks at shall not use them up.
  let hideTimer = 0;
  const rest = () => {
    disconnect();
    setConnection('connecting');
  };
  document.addEventListener('visibilitychange', () => {
    clearTimeout(hideTimer);
    if (document.hidden) hideTimer = setTimeout(rest, 60_000);
    else if (!stream) connect();
  });
}

if (api) {
  for (const row of body.rows) enter(row, JSON.parse(row.dataset.lock));
  if (matchMedia('(max-width: 48rem)').matches && !page.dataset.under) document.querySelector('.folders').open = false;
  listen();
  setConnection('connecting');
  connect();
}
tick();
setInterval(tick, 1000);
