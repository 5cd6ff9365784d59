// What locks, people, paths and times are called: the same as in the server's `words.rs`, which rendered the page.
//
// Whatever users named is hostile: it goes in as text, never as HTML.

const $ = (id) => document.getElementById(id);
const page = $('page');
const { api, home, viewer } = page.dataset;

function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function make(tag, name, ...content) {
  const node = document.createElement(tag);
  if (name) node.className = name;
  node.append(...content);
  return node;
}

/** Writes out what could turn the direction of text, and control characters. */
function visible(text) {
  const hex = (c) => `\\u{${c.codePointAt(0).toString(16)}}`;
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, hex);
}

/** Folds text as the server folds keys: two spellings of one path are the same. */
function fold(text) {
  return Array.from(text.normalize('NFC'), (c) => c.toLowerCase()).join('').normalize('NFC');
}

const keyOf = (path) => (path === '.' ? '' : fold(path));
const idOf = (lock) => lock.lease || `unreadable ${keyOf(lock.path)}`;
const isAbove = (above, key) => above === '' ? key !== '' : key.startsWith(`${above}/`);
const withSlash = (lock) => (lock.kind === 'directory' ? `${lock.path}/` : lock.path);
const pathOf = (lock) => (lock.path === '.' ? 'whole repository' : visible(withSlash(lock)));
const nameOf = (owner) => visible(owner ? owner.name || owner.id : 'unknown holder');
const personOf = ({ id, name }) => visible(!name || name === id ? id : `${name} <${id}>`);
const detailsOf = ({ id, name, host }) =>
  visible([name && name !== id ? id : '', host && `on ${host}`].filter(Boolean).join(' '));
const isViewer = ({ id }) => fold(id) === fold(viewer);
const isViewers = ({ owner }) =>
  Boolean(owner) && (isViewer(owner) || fold(owner.id).startsWith(`${fold(viewer)}/`));

function whose(lock) {
  if (!lock.owner) return 'nobody';
  if (!isViewers(lock)) return 'other';
  return isViewer(lock.owner) && !lock.owner.workspace ? 'mine' : 'elsewhere';
}

/** What happened, for the live region. */
function sentence({ event, lock, previous, by }) {
  const path = pathOf(lock);
  const actor = nameOf(by || lock.owner);
  switch (event) {
    case 'stolen': return `${actor} took over ${path}${previous?.owner ? ` from ${nameOf(previous.owner)}` : ''}`;
    case 'expired': return `The lock on ${path} expired`;
    case 'locked': return lock.owner ? `${actor} locked ${path}` : `${path} is blocked by an unreadable lock`;
    default: return `${actor} unlocked ${path}`;
  }
}

// --- Times ----------------------------------------------------------------------------------------------------------

// Leases end by the server's clock, whatever this machine's says.
let ahead = page.dataset.now ? Date.parse(page.dataset.now) - Date.now() : 0;
const now = () => Date.now() + ahead;

function length(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 90) return `${seconds} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

function ago(at) {
  const passed = now() - at;
  return passed < 5000 ? 'just now' : `${length(passed)} ago`;
}

function until(at) {
  return at <= now() ? 'now' : `in ${length(at - now())}`;
}

const local = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

function paintTime(node) {
  const at = Date.parse(node.dateTime);
  write(node, node.className === 'until' ? until(at) : ago(at));
  node.title ||= local.format(at);
}

function timeNode(name, moment) {
  const node = make('time', name);
  node.dateTime = moment;
  paintTime(node);
  return node;
}

/** The rule of `words.rs`. */
function badgeOf(lock, isBound) {
  if (lock.state === 'unreadable') return 'unreadable';
  if (!lock.expires_at || isBound) return '';
  const left = Date.parse(lock.expires_at) - now();
  if (left <= 0) return 'ending';
  return !lock.process && left < Math.max(lock.ttl_seconds * 200, 600_000) ? 'soon' : '';
}

const BADGES = { '': '', soon: 'expires soon', ending: 'ending', unreadable: 'unreadable' };

function paintBadge(row, lock) {
  const badge = badgeOf(lock, 'bound' in row.dataset);
  if (row.dataset.badge !== badge) row.dataset.badge = badge;
  write(row.querySelector('.badge'), BADGES[badge]);
}
