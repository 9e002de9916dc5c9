// A list of files, and one of them as it grows, by server-sent events.
//
// Each line comes with its place in the file. Whatever ends a connection, the next one goes on from
// the last place: nothing is missing, nothing comes twice. Where that place is gone the view says so.
'use strict';

const TAIL = 200;                 // lines with which a file is opened
const LINES_MAX = 100000;         // in memory; the oldest go
const CHARACTERS_MAX = 32000000;  // the same for long ones; keeps the view below browsers' heights
const SHOWN_MAX = 2000;           // characters of a line, until one asks for the rest
const NAMES_MAX = 500;            // in the list
const REST_AFTER = 30000;         // a hidden tab frees its connection: browsers allow six a host
const PAUSES = [250, 500, 1000, 2000, 4000, 8000];

const $ = id => document.getElementById(id);
const main = $('file'), view = $('log'), box = $('rows');
const many = number => number.toLocaleString('en');

function make(tag, text = '', name = '') {
  const element = document.createElement(tag);
  element.textContent = text;
  element.className = name;
  return element;
}

// Writes only what differs: screen readers are not told twice.
function say(id, text) {
  const element = $(id);
  if (element.textContent !== text) element.textContent = text;
}

// Control characters as their pictures.
const visible = text => text.replace(/[\0-\x08\n-\x1f\x7f]/g,
  c => String.fromCharCode(0x2400 + Math.min(c.charCodeAt(0), 0x21)));

// What stays is not touched, nor what is selected or focused in it.
function arrange(parent, children) {
  const kept = new Set(children);
  for (const child of [...parent.children]) if (!kept.has(child)) child.remove();
  let next = parent.firstChild;
  for (const child of children)
    if (child === next) next = next.nextSibling;
    else parent.insertBefore(child, next);
}

const timers = {};
function soon(name, wait, action) {
  clearTimeout(timers[name]);
  timers[name] = setTimeout(action, wait);
}

// ---- The list

let files = [], order = 'shown', sign = 1;
const entries = new Map();   // name as in addresses -> table row

async function refresh() {
  clearTimeout(timers.list);
  let note = '';
  try {
    const reply = await fetch('-/files', { cache: 'no-store' }), text = await reply.text();
    if (reply.ok) {
      // The server's clock: this one may be wrong.
      const now = Date.parse(reply.headers.get('Date')) || Date.now();
      files = text.split('\n').slice(0, -1).map(line => {
        const [size, changed, name] = line.split('\t');
        return { name, shown: decoded(name), size: +size, changed, age: now - Date.parse(changed) };
      });
      // Of one file nobody needs a list.
      if (files.length === 1 && !location.hash) location.replace('#/' + files[0].name);
    } else note = text;
  } catch {
    note = 'The server does not answer.';
  }
  list(note);
  if (!document.hidden) soon('list', file === null ? 5000 : 30000, refresh);
}

function decoded(name) {
  try { return visible(decodeURIComponent(name)); } catch { return name; /* no UTF-8 */ }
}

function list(note = '') {
  const words = $('search').value.toLowerCase().split(/\s+/);
  const found = files.filter(({ shown }) => words.every(word => shown.toLowerCase().includes(word)));
  found.sort((a, b) => sign * (a[order] < b[order] ? -1 : a[order] > b[order] ? 1 : 0));
  arrange($('list'), found.slice(0, NAMES_MAX).map(entry));
  const more = found.length - NAMES_MAX;
  say('note', note || (more > 0 ? `${many(more)} more: search for them.` : found.length ? '' : 'No such file.'));
  say('count', `${found.length < files.length ? `${many(found.length)} of ` : ''}${many(files.length)} files`);
}

function entry({ name, shown, size, changed, age }) {
  let row = entries.get(name);
  if (!row) {
    row = make('tr');
    const link = make('a');
    link.href = '#/' + name;
    link.title = shown;
    named(link, shown);
    row.append(make('td'), make('td'), make('td'));
    row.cells[0].append(link);
    entries.set(name, row);
  }
  const [first, second, third] = row.cells;
  first.firstChild.ariaCurrent = name === file ? 'page' : null;
  second.textContent = inUnits(size);
  third.textContent = inTime(age / 1000);
  third.className = age < 60000 ? 'new' : '';
  third.title = changed;
  return row;
}

function named(element, shown) {
  const cut = shown.lastIndexOf('/') + 1;
  element.replaceChildren(make('i', shown.slice(0, cut)), shown.slice(cut));
}

function inUnits(bytes) {
  let unit = 0;
  for (; bytes >= 999.5; bytes /= 1000) unit += 1;
  return `${bytes.toFixed(unit && bytes < 9.95 ? 1 : 0)} ${['B', 'kB', 'MB', 'GB', 'TB', 'PB'][unit]}`;
}

function inTime(seconds) {
  for (const [unit, length] of [['y', 31557600], ['d', 86400], ['h', 3600], ['min', 60]])
    if (seconds >= length) return `${Math.floor(seconds / length)} ${unit}`;
  return seconds < 5 ? 'now' : `${Math.floor(seconds)} s`;
}

// ---- One file: its connection

let file = null, filter = '', from = null;   // what the fragment says; the name as in addresses
let written = null;                          // the fragment as it was last read or set
let source, asking;                          // EventSource, AbortController
let place = null;                            // where the next connection begins
let phase = '', attempts = 0, opened = 0;

function conditions() {
  return [...filter.matchAll(/(-?)(?:"([^"]*)"?|(\S+))/g)]
    .map(([, minus, quoted, word]) => [minus ? 'skip' : 'grep', quoted ?? word])
    .filter(([kind, text]) => text && kind + text !== 'grep-');
}

const address = start => `./${file}?${new URLSearchParams([['from', start], ...conditions()])}`;
const stream = () => address(place || from || '-' + TAIL) + '&follow';

function disconnect() {
  clearTimeout(timers.retry);
  asking?.abort();
  source?.close();
  source = asking = null;
}

// First a HEAD: an EventSource tells neither a status nor the place where it begins.
async function connect() {
  disconnect();
  const mine = asking = new AbortController(), headers = { Accept: 'text/event-stream' };
  if (!phase) tell('waiting', filter ? 'Searching…' : 'Connecting…');
  const head = await fetch(stream(), { method: 'HEAD', headers, cache: 'no-store', signal: mine.signal }).catch(() => null);
  if (mine !== asking) return;
  if (!head) return retry();
  if (head.status === 410) {
    gap(`${lines.length ? 'Gap: the place to go on from' : 'The place of this link'} is gone, these are the last ${TAIL} lines`);
    place = from = null;
    return connect();
  }
  if (head.status === 404) return retry('Gone: no such file', 'gone');
  if (!head.ok) return retry(head.status === 503 ? 'Server is full, trying again…' : `Refused (${head.status}), trying again…`);
  place = head.headers.get('Sendtail-Place') || place;
  oldest ??= place;
  if (lines.length) lines.at(-1).place ??= place;
  source = new EventSource(stream());
  const on = (name, action) => source.addEventListener(name, action);
  on('open', () => { opened = Date.now(); tell('live'); });
  on('message', event => add(plain(event.data), event.lastEventId));
  on('rotated', event => add('Rotated: the next file', event.lastEventId, 'rotated'));
  on('cut', () => { lines.at(-1).cut = true; renew(lines.at(-1)); });
  on('end', ({ data }) => {
    const lost = /^lost (\d+)/.exec(data);
    if (lost) gap(`Gap: ${many(+lost[1])} bytes were lost here`);
    retry(`Ended (${data}), reconnecting…`);
  });
  on('error', () => retry());
}

// Goes on from the place after a pause. Without a text the reason stays what it was.
function retry(text, kind = 'trouble') {
  disconnect();
  if (opened && Date.now() - opened > 5000) attempts = 0;
  opened = 0;
  if (text || phase !== 'trouble') tell(kind, text ?? 'Reconnecting…');
  soon('retry', PAUSES[Math.min(attempts++, PAUSES.length - 1)], connect);
}

// A person, or a tab that is shown again, does not wait for the next attempt.
function connectNow() {
  attempts = 0;
  if (file !== null && !source) connect();
}

function tell(kind, text) {
  phase = kind;
  const flows = kind === 'live' || kind === 'full';
  $('state').className = flows ? follow ? 'live' : 'paused' : kind;
  say('phase', flows ? follow ? 'Live' : 'Paused' : text);
  schedule();
}

// ---- Its lines
//
// {text, place: of its end, rows: its height, mark: no line of the file, but something about it,
// cut: by the server, open: shown whole, hit: has what is looked for}

let lines = [], total = 0, characters = 0, hits = 0;
let oldest = null;                         // the place where the first of them begins
let follow = true, fresh = 0, came = 0;    // is the end shown; lines since it is not; this second
let anchor = { index: 0, row: 0 };         // the first line on the screen, and the rows before it
let needle = null, found = null;           // what is looked for, and the line where it was found

function clear() {
  disconnect();
  lines = [];
  total = characters = hits = fresh = attempts = opened = 0;
  oldest = place = found = null;
  anchor = { index: 0, row: 0 };
  phase = '';
}

function plain(data) {
  if (!/[\0-\x08\n-\x1f\x7f]/.test(data)) return data;
  // Colours of terminals go. A line feed stands for a carriage return of the file.
  return visible(data.replace(/\x1b\[[0-?]*[ -/]*[@-~]/g, '').replace(/\n+$/, '').replaceAll('\n', '\r'));
}

function add(text, id, mark) {
  place = id || place;
  const hit = !mark && needle !== null && needle.test(text);
  const line = { text, place: id || null, rows: 1, mark, cut: false, open: false, hit };
  line.rows = rowsOf(line);
  lines.push(line);
  total += line.rows;
  characters += text.length;
  hits += hit;
  came += 1;
  if (!follow) fresh += 1;
  if (!mark) attempts = 0;
  // A hidden tab draws nothing.
  if (lines.length > LINES_MAX + 10000 || characters > CHARACTERS_MAX + 1000000) trim();
  schedule();
}

function gap(text) {
  const last = lines.at(-1);
  if (last?.mark !== 'gap') return add(text, null, 'gap');
  if (!last.text.includes(text)) last.text += '; ' + text;
  renew(last);
}

// The oldest go, but never what is looked at: then the connection is given back instead, and taken
// again by place when the person goes on.
function trim() {
  const full = count => lines.length - count > LINES_MAX || characters > CHARACTERS_MAX;
  const most = follow ? lines.length - 1 : anchor.index;
  let count = 0, rows = 0;
  while (count < most && full(count)) {
    const line = lines[count++];
    rows += line.rows;
    characters -= line.text.length;
    hits -= line.hit;
    oldest = line.place;
  }
  lines.splice(0, count);
  total -= rows;
  shift += rows;
  anchor = count > anchor.index ? { index: 0, row: 0 } : { index: anchor.index - count, row: anchor.row - rows };
  if (source && full(0)) {
    disconnect();
    tell('full');
  }
}

function rowsOf({ text, mark, open }) {
  if (mark || !main.classList.contains('wrap')) return 1;
  return Math.max(1, Math.ceil((open ? text.length : Math.min(text.length, SHOWN_MAX)) / columns));
}

function setRows(line, index, rows) {
  const more = rows - line.rows;
  line.rows = rows;
  total += more;
  if (index < anchor.index) anchor.row += more;
  return more;
}

function renew(line) {
  nodes.delete(line);
  setRows(line, lines.indexOf(line), rowsOf(line));
  schedule();
}

// ---- The view: only what is near the screen is an element

let nodes = new Map();                               // line -> element
let ROW = 19, height = 0, columns = 80;
let drawing = 0, drawn = 0, scrolled = 0, target = null, shift = 0;

// Another width, another font, wrapped or not: all heights anew, and the same line stays on top.
function layout() {
  const probe = make('span', 'x'.repeat(100));
  box.append(probe);
  ROW = parseFloat(getComputedStyle(view).lineHeight);
  height = view.clientHeight;
  columns = Math.max(10, Math.floor((view.clientWidth - 24) / probe.getBoundingClientRect().width * 100));
  probe.remove();
  total = 0;
  lines.forEach((line, index) => {
    if (index === anchor.index) anchor.row = total;
    total += line.rows = rowsOf(line);
  });
  target = anchor.row * ROW;
  redraw();
}

function redraw() {
  nodes.clear();
  schedule();
}

function schedule() {
  if (!drawing) drawing = requestAnimationFrame(draw);
}

function draw() {
  drawing = 0;
  if (file === null) return;
  trim();
  if (shift) target ??= view.scrollTop - shift * ROW;
  shift = 0;
  // Wrapped lines may turn out higher than they were thought to be.
  for (let pass = 0; pass < 4 && fill(); pass++);
  $('empty').hidden = lines.length > 0 || phase !== 'live';
  say('empty', filter ? 'No line matches so far. What matches appears as it is written.' : 'Nothing here yet. Lines appear as they are written.');
  $('newer').hidden = follow || !lines.length;
  say('newer', fresh ? `↓ ${many(fresh)}${phase === 'full' ? '+' : ''} more` : '↓ To the end');
  say('held', `${many(lines.length)} lines${lines.length < LINES_MAX ? '' : ', the oldest go'}`);
  if (needle) {
    const at = found?.hit ? lines.slice(0, lines.indexOf(found) + 1).filter(line => line.hit).length : 0;
    say('hits', at ? `${many(at)} of ${many(hits)}` : `${many(hits)} found`);
  }
}

// Whether it has to be done again.
function fill() {
  drawn = total * ROW;
  $('space').style.height = `${drawn}px`;
  if (follow) target = Math.max(0, drawn - height);
  if (target !== null) view.scrollTop = target;
  target = null;
  scrolled = view.scrollTop;
  const top = anchor.index;
  seek(Math.floor(scrolled / ROW));
  const first = Math.max(0, anchor.index - 8);
  let row = anchor.row, index = anchor.index;
  while (index > first) row -= lines[--index].rows;
  box.style.top = `${row * ROW}px`;
  const shown = new Map();
  for (const end = (scrolled + height) / ROW + 8; index < lines.length && row < end; row += lines[index++].rows)
    shown.set(lines[index], nodes.get(lines[index]) ?? element(lines[index]));
  nodes = shown;
  arrange(box, [...shown.values()]);
  if (!main.classList.contains('wrap')) return false;
  let again = false;
  index = first - 1;
  for (const [line, node] of shown) {
    index += 1;
    if (node.measured) continue;
    node.measured = true;
    const more = setRows(line, index, Math.max(1, Math.round(node.offsetHeight / ROW)));
    if (more && index < top && !follow) target = (target ?? scrolled) + more * ROW;
    again ||= more !== 0;
  }
  return again;
}

// The line at this row becomes the anchor.
function seek(wanted) {
  let { index, row } = anchor;
  while (index > 0 && row > wanted) row -= lines[--index].rows;
  while (index < lines.length - 1 && row + lines[index].rows <= wanted) row += lines[index++].rows;
  anchor = { index, row };
}

const TIME = /^(?:<\d+>)?(?:[A-Z][a-z]{2} [ \d]\d [\d:]{8}|\[?\d{4}[-/]\d\d[-/]\d\d[T ][\d:.,]+(?:Z| ?[+-]\d\d:?\d\d)?\]?)|\[\d\d\/[A-Z][a-z]{2}\/\d{4}:[^\]]{1,20}\]/;

// The first that is found: a priority, klog's letter, a word in capitals or where levels stand, the
// status of a request.
const LEVEL = new RegExp([
  /^<([0-7])>/, /^([EFIWD])\d{4} /,
  /\b(EMERG|ALERT|CRIT|CRITICAL|FATAL|PANIC|SEVERE|ERR|ERROR|WARN|WARNING|NOTICE|INFO|DEBUG|TRACE)\b/,
  /(?:\[|\b(?:level|lvl|severity)"?[:=] ?"?)(emerg|alert|crit|fatal|panic|err|warn|notice|info|debug|trace)/,
  /\b([Ee]rror|[Ww]arning|[Ff]atal|[Pp]anic): /, /" ([45])\d\d [\d-]/,
].map(({ source }) => source).join('|'));

function level(text) {
  const word = LEVEL.exec(text.slice(0, 400))?.slice(1).find(group => group);
  if (!word) return '';
  if (text[0] === '<' && word < 8) return word < 4 ? 'error' : word < 5 ? 'warn' : word < 7 ? '' : 'debug';
  return { 4: 'warn', w: 'warn', n: '', i: '', d: 'debug', t: 'debug' }[word[0].toLowerCase()] ?? 'error';
}

function element(line) {
  const { text, mark, open, cut } = line;
  const row = make('div', mark ? text : '', `${mark ? `mark ${mark}` : level(text)}${line === found ? ' current' : ''}`);
  if (mark) return row;
  const shown = open ? text : text.slice(0, SHOWN_MAX), time = TIME.exec(shown.slice(0, 300));
  const [start, end] = time ? [time.index, time.index + time[0].length] : [0, 0];
  put(row, shown.slice(0, start));
  if (time) row.append(put(make('time'), time[0]));
  put(row, shown.slice(end));
  if (shown.length < text.length) {
    const more = make('button', `… ${many(text.length - shown.length)} more`);
    more.onclick = () => { setFollow(false); line.open = true; renew(line); };
    row.append(more);
  }
  if (cut) row.append(make('i', ' cut at 64 KiB'));
  return row;
}

function put(parent, text) {
  let end = 0;
  if (needle) for (const { 0: match, index } of text.matchAll(new RegExp(needle, needle.flags + 'g'))) {
    parent.append(text.slice(end, index), make('mark', match));
    end = index + match.length;
  }
  parent.append(text.slice(end));
  return parent;
}

// ---- What a person does

function setFollow(wanted) {
  if (wanted === follow) return;
  follow = wanted;
  fresh = 0;
  if (phase === 'live') tell(phase);
  if (phase === 'full' && follow) {
    phase = '';
    connectNow();
  }
  if (follow) from = null;
  write();
  schedule();
}

function toEnd() {
  if (phase === 'full') {
    add('Lines are left out here: on to the end', null, 'gap');
    place = from = null;
  }
  setFollow(true);
}

function scrollTo(wanted) {
  setFollow(false);
  target = Math.max(0, wanted);
  schedule();
}

function find(step) {
  if (!hits) return;
  const last = found;
  let index = lines.indexOf(found);
  if (index < 0) {
    seek(Math.floor((view.scrollTop + height) / ROW));
    index = anchor.index + 1;
  }
  do index = (index + step + lines.length) % lines.length; while (!lines[index].hit);
  found = lines[index];
  if (found.text.search(needle) > SHOWN_MAX) found.open = true;
  if (last) renew(last);
  renew(found);
  let row = 0;
  for (let before = 0; before < index; before++) row += lines[before].rows;
  scrollTo(row * ROW - height / 3);
  requestAnimationFrame(() => nodes.get(found)?.querySelector('mark')?.scrollIntoView({ block: 'nearest', inline: 'nearest' }));
}

function look(text) {
  const escaped = text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  needle = text ? new RegExp(escaped, text === text.toLowerCase() ? 'i' : '') : null;
  found = null;
  hits = 0;
  for (const line of lines) hits += line.hit = !line.mark && needle !== null && needle.test(line.text);
  say('hits', '');
  redraw();
  find(-1);
}

function showFind(wanted) {
  $('find').hidden = !wanted;
  $('finding').ariaPressed = wanted;
  if (wanted) $('needle').select();
  else view.focus();
  look(wanted ? $('needle').value : '');
}

function setWrap(wanted) {
  main.classList.toggle('wrap', wanted);
  $('wrap').ariaPressed = wanted;
  try { localStorage.wrap = wanted ? 'on' : ''; } catch { /* then it is not remembered */ }
  layout();
}

// The fragment: which file, from where, which lines.
function write() {
  const query = new URLSearchParams(), top = anchor.index ? lines[anchor.index - 1].place : oldest;
  const start = follow ? from : top || from;
  if (start) query.set('from', start);
  if (filter) query.set('filter', filter);
  written = `#/${file}${`?${query}`.replace(/^\?$/, '')}`;
  if (file !== null && written !== location.hash) history.replaceState(null, '', written);
}

async function copyLink() {
  write();
  let copied = true;
  try {
    await navigator.clipboard.writeText(location.href);
  } catch {
    // Not to be had without TLS.
    const field = make('textarea', location.href);
    document.body.append(field);
    field.select();
    copied = document.execCommand('copy');
    field.remove();
    view.focus();
  }
  say('copy', copied ? 'Copied' : 'Failed');
  soon('copy', 1500, () => say('copy', 'Link'));
}

function start(name, wanted, where) {
  clear();
  [file, filter, from] = [name, wanted.trim(), where];
  follow = !where || where.startsWith('-');
  write();
  $('save').href = filter ? address('0') : './' + file;
  connect();
}

function setFilter() {
  clearTimeout(timers.filter);
  if ($('filter').value.trim() !== filter) start(file, $('filter').value, null);
}

function route() {
  if (location.hash === written) return;
  written = location.hash;
  const [, name, query] = /^#\/([^?]+)\??(.*)$/.exec(written) ?? [];
  main.hidden = name === undefined;
  document.body.classList.toggle('open', !main.hidden);
  if (main.hidden) {
    clear();
    file = null;
    document.title = 'sendtail';
    $('search').focus();
  } else {
    const asked = new URLSearchParams(query), shown = decoded(name);
    $('filter').value = asked.get('filter') ?? '';
    named($('name'), shown);
    document.title = `${shown.split('/').pop()} · sendtail`;
    layout();
    start(name, $('filter').value, asked.get('from'));
    view.focus();
  }
  list();
  entries.get(file)?.scrollIntoView({ block: 'nearest' });
  refresh();
}

const KEYS = {
  ' ': () => ['live', 'full'].includes(phase) ? setFollow(!follow) : connectNow(),
  G: toEnd, End: toEnd,
  g: () => scrollTo(0), Home: () => scrollTo(0),
  j: () => scrollTo(view.scrollTop + ROW), k: () => scrollTo(view.scrollTop - ROW),
  f: () => $('filter').select(),
  '/': () => showFind(true),
  n: () => find(1), N: () => find(-1),
  w: () => setWrap(!main.classList.contains('wrap')),
  c: copyLink,
  o: () => $('search').select(),
  '?': () => $('help').showModal(),
  Escape: () => { if ($('find').hidden) location.hash = '#/'; else showFind(false); },
};

document.addEventListener('keydown', event => {
  const { target: at, key } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || $('help').open) return;
  if (at.matches('input')) {
    if (key === 'Enter' && at === $('filter')) { setFilter(); view.focus(); }
    else if (key === 'Enter' && at === $('needle')) find(event.shiftKey ? -1 : 1);
    else if (key === 'Enter') $('list').querySelector('a')?.click();
    else if (key !== 'Escape') return;
    else if (at === $('needle')) showFind(false);
    else if (at.value) { at.value = ''; at.oninput(); }
    else view.focus();
  } else if (file === null && key === '/') $('search').select();
  else if (at.matches('button, a') && ' Enter'.includes(key) || file === null && key !== '?' || !KEYS[key]) return;
  else KEYS[key]();
  event.preventDefault();
});

// From the search into the list and through it.
$('files').addEventListener('keydown', event => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key], links = [...$('list').querySelectorAll('a')];
  if (!step) return;
  event.preventDefault();
  (links[links.indexOf(event.target) + step] ?? $('search')).focus();
});

for (const button of document.querySelectorAll('th button')) button.onclick = () => {
  sign = order === button.value ? -sign : button.value === 'size' ? -1 : 1;
  order = button.value;
  for (const head of document.querySelectorAll('th')) head.ariaSort = null;
  button.parentNode.ariaSort = sign > 0 ? 'ascending' : 'descending';
  list();
};

$('search').oninput = () => list();
$('filter').oninput = () => soon('filter', 500, setFilter);
$('needle').oninput = () => soon('needle', 100, () => look($('needle').value));
$('state').onclick = KEYS[' '];
$('newer').onclick = toEnd;
$('finding').onclick = () => showFind($('find').hidden);
$('previous').onclick = KEYS.N;
$('next').onclick = KEYS.n;
$('close').onclick = () => showFind(false);
$('wrap').onclick = KEYS.w;
$('copy').onclick = copyLink;
$('keys').onclick = KEYS['?'];
$('help').onclick = () => $('help').close();
// A click leaves the keys with the lines.
main.addEventListener('click', event => { if (event.detail && event.target.matches('button')) view.focus(); });

view.addEventListener('wheel', event => { if (event.deltaY < 0 && drawn > height) setFollow(false); }, { passive: true });
view.addEventListener('scroll', () => {
  const y = view.scrollTop;
  // The end as it was drawn, or as the browser has it since: a scrollbar may have come or gone.
  const atEnd = y > Math.min(drawn - height, view.scrollHeight - view.clientHeight) - ROW / 2;
  if (follow ? !atEnd : atEnd && y > scrolled + 1) setFollow(!follow);
  scrolled = y;
  if (!follow) soon('write', 300, write);
  schedule();
});
document.addEventListener('selectionchange', () => {
  const selection = getSelection();
  if (!selection.isCollapsed && view.contains(selection.anchorNode)) setFollow(false);
});
new ResizeObserver(layout).observe(view);

function rest() {
  if (file === null || phase === 'full') return;
  disconnect();
  tell('resting', 'Resting');
}

function awake() {
  clearTimeout(timers.rest);
  if (document.hidden) return soon('rest', REST_AFTER, rest);
  if (phase === 'resting') connectNow();
  refresh();
}

document.addEventListener('visibilitychange', awake);
addEventListener('online', connectNow);
addEventListener('hashchange', route);
setInterval(() => {
  say('rate', came ? `${many(came)} lines/s` : '');
  came = 0;
}, 1000);
try { setWrap(localStorage.wrap === 'on'); } catch { setWrap(false); }
awake();
route();
