// A list of files, and one of them as it grows. Each line comes with its place in the file; whatever
// ends a connection, the next one goes on from there: nothing is missing, nothing comes twice.
'use strict';

const TAIL = 200; // lines with which a file is opened
const LINES_MAX = 100000; // in memory; the oldest go
const CHARS_MAX = 32e6; // the same; the view stays below browsers' heights
const SHOWN_MAX = 2000; // of a line, until one asks for the rest
const NAMES_MAX = 500; // in the list
const REST_AFTER = 30000; // a hidden tab frees its connection: browsers allow six a host
const ROW = 19; // pixels, as in the style

const $ = id => document.getElementById(id);
const main = $('file'), view = $('log'), box = $('rows');
const NEAR = { block: 'nearest', inline: 'nearest' };
const many = number => number.toLocaleString('en');

function make(tag, text = '', name = '') {
	const element = document.createElement(tag);
	element.textContent = text;
	element.className = name;
	return element;
}

// Screen readers are not told twice.
function say(id, text) {
	if ($(id).textContent !== text) $(id).textContent = text;
}

// Control characters as pictures.
const visible = text => text.replace(/[\0-\x08\n-\x1f\x7f]/g,
	c => String.fromCharCode(0x2400 + Math.min(c.charCodeAt(0), 0x21)));

// What stays is not touched: it may be selected or focused.
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
const entries = new Map(); // name as in addresses -> table row

async function refresh() {
	clearTimeout(timers.list);
	let note = '';
	try {
		const reply = await fetch('-/files'), text = await reply.text();
		if (!reply.ok) throw text;
		const now = Date.parse(reply.headers.get('Date')); // this clock may be wrong
		files = text.split('\n').slice(0, -1).map(line => {
			const [size, changed, name] = line.split('\t');
			return { name, shown: decoded(name), size: +size, changed, age: now - Date.parse(changed) };
		});
		// No list of one.
		if (files.length === 1 && !location.hash) location.replace('#/' + files[0].name);
	} catch (error) {
		note = error.big ? error : 'No answer.';
	}
	list(note);
	if (!document.hidden) soon('list', file === null ? 5000 : 30000, refresh);
}

function decoded(name) {
	try { return visible(decodeURIComponent(name)); } catch { return name; }
}

function list(note = '') {
	const words = $('search').value.toLowerCase().split(/\s+/);
	const found = files.filter(({ shown }) => words.every(word => shown.toLowerCase().includes(word)))
		.sort((a, b) => sign * (a[order] < b[order] ? -1 : a[order] > b[order]));
	arrange($('list'), found.slice(0, NAMES_MAX).map(entry));
	const more = found.length - NAMES_MAX;
	say('note', note || (more > 0 ? `${many(more)} more` : files.length && !found.length ? 'No such file' : ''));
	say('count', (found.length < files.length ? `${many(found.length)} of ` : '') + `${many(files.length)} files`);
}

function entry({ name, shown, size, changed, age }) {
	let row = entries.get(name);
	if (!row) {
		entries.set(name, row = make('tr'));
		const link = make('a');
		link.href = '#/' + name;
		link.title = shown;
		named(link, shown);
		row.insertCell().append(link);
		row.insertCell();
		row.insertCell();
		if (name === file) requestAnimationFrame(() => row.scrollIntoView(NEAR));
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
	return `${bytes.toFixed(unit && bytes < 9.95 ? 1 : 0)} ${['', 'k', 'M', 'G', 'T', 'P'][unit]}B`;
}

function inTime(seconds) {
	const units = [['d', 86400], ['h', 3600], ['min', 60], ['s', 1]];
	const [unit, length] = units.find(([, length]) => seconds >= length) ?? [];
	return seconds < 5 || !unit ? 'now' : `${Math.floor(seconds / length)} ${unit}`;
}

// ---- One file: its connection

let file = null, filter = '', from = null; // what the fragment says; the name as in addresses
let written = null; // the fragment as it was last read or set
let source, asking; // EventSource, AbortController
let place = null; // where the next connection begins
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

// A HEAD first: an EventSource tells no status, nor where it begins.
async function connect() {
	disconnect();
	const mine = asking = new AbortController();
	if (!phase) tell('waiting', filter ? 'Searching…' : 'Connecting…');
	const head = await fetch(stream(), { method: 'HEAD', signal: mine.signal }).catch(() => null);
	if (mine !== asking) return;
	if (!head) return retry();
	if (head.status === 410) {
		gap(`the place ${lines.length ? 'to go on from' : 'of this link'} is gone, these are the last ${TAIL} lines`);
		place = from = null;
		return connect();
	}
	if (head.status === 404) return retry('Gone: no such file', 'gone');
	if (!head.ok) return retry(`Refused (${head.status}), retrying…`);
	place = head.headers.get('Sendtail-Place') || place;
	oldest ??= place;
	if (lines.length) lines.at(-1).place ??= place;
	source = new EventSource(stream());
	const on = (name, action) => source.addEventListener(name, action);
	on('open', () => { opened = Date.now(); tell('live'); });
	on('message', event => add(plain(event.data), event.lastEventId));
	on('rotated', event => add('Rotated: from the start', event.lastEventId, 'rotated'));
	on('cut', () => { lines.at(-1).cut = true; renew(lines.at(-1)); });
	on('end', ({ data }) => {
		const lost = /^lost (\d+)/.exec(data);
		if (lost) gap(`${many(+lost[1])} bytes were lost here`);
		retry(`Ended (${data}), reconnecting…`);
	});
	on('error', () => retry());
}

// Without a text the reason stays what it was.
function retry(text, kind = 'trouble') {
	disconnect();
	if (opened && Date.now() - opened > 5000) attempts = 0;
	opened = 0;
	if (text || phase !== 'trouble') tell(kind, text ?? 'Reconnecting…');
	soon('retry', Math.min(8000, 250 * 2 ** attempts++), connect);
}

// A person, or a tab that is shown again, does not wait.
function connectNow() {
	attempts = 0;
	if (file !== null && !source) connect();
}

function tell(kind, text) {
	phase = kind;
	const flows = kind === 'live' || kind === 'full';
	const shown = flows ? follow ? 'Live' : 'Paused' : text;
	$('state').className = flows ? shown.toLowerCase() : kind;
	say('phase', shown);
	schedule();
}

// ---- Its lines
//
// {text, place: of its end, rows: its height, mark: not of the file, cut: by the server, open: shown
// whole, hit: has what is looked for}

let lines = [], total = 0, chars = 0, hits = 0;
let oldest = null; // the place where the first of them begins
let follow = true, fresh = 0; // whether the end is shown, lines since it is not
let anchor = { index: 0, row: 0 }; // the first line on the screen, and the rows before it
let needle = null, found = null; // what is looked for, and the line where it was found

function clear() {
	disconnect();
	[lines, phase, anchor] = [[], '', { index: 0, row: 0 }];
	total = chars = hits = fresh = attempts = opened = 0;
	oldest = place = found = null;
}

function plain(data) {
	if (!/[\0-\x08\n-\x1f\x7f]/.test(data)) return data;
	// Terminals' colours go; a line feed here is a carriage return in the file.
	return visible(data.replace(/\x1b\[[0-?]*[ -/]*[@-~]/g, '').replace(/\n+$/, '').replaceAll('\n', '\r'));
}

function add(text, id, mark) {
	place = id || place;
	const hit = !mark && needle !== null && needle.test(text);
	const line = { text, place: id ?? null, rows: 1, mark, hit };
	line.rows = rowsOf(line);
	lines.push(line);
	total += line.rows;
	chars += text.length;
	hits += hit;
	if (!follow) fresh += 1;
	if (!mark) attempts = 0;
	// A hidden tab draws nothing.
	if (lines.length > LINES_MAX + 10000 || chars > CHARS_MAX + 1e6) trim();
	schedule();
}

function gap(text) {
	const last = lines.at(-1);
	if (last?.mark !== 'gap') return add('Gap: ' + text, null, 'gap');
	if (!last.text.includes(text)) last.text += ', ' + text;
	renew(last);
}

// The oldest go, but never what is looked at: rather the connection, until the person goes on.
function trim() {
	const full = count => lines.length - count > LINES_MAX || chars > CHARS_MAX;
	const most = follow ? lines.length - 1 : anchor.index;
	let count = 0, rows = 0;
	while (count < most && full(count)) {
		const line = lines[count++];
		rows += line.rows;
		chars -= line.text.length;
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
	return Math.ceil((open ? text.length : Math.min(text.length, SHOWN_MAX)) / columns) || 1;
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

let nodes = new Map(); // line -> element
let height = 0, columns = 80;
let drawing = 0, drawn = 0, scrolled = 0, target = null, shift = 0;

// All heights anew, and the same line on top.
function layout() {
	const probe = make('span', 'x'.repeat(100));
	box.append(probe);
	height = view.clientHeight;
	columns = Math.floor((view.clientWidth - 24) / probe.getBoundingClientRect().width * 100) || 1;
	probe.remove();
	total = 0;
	lines.forEach((line, index) => {
		if (index === anchor.index) anchor.row = total;
		total += line.rows = rowsOf(line);
	});
	target = anchor.row * ROW;
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
	// Wrapped lines may turn out higher than was thought.
	for (let pass = 0; pass < 4 && fill(); pass++);
	$('empty').hidden = lines.length > 0 || phase !== 'live';
	say('empty', filter ? 'No line matches so far. Case matters.' : 'No line so far.');
	$('newer').hidden = follow;
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
	let { row, index } = anchor;
	const first = Math.max(0, index - 8);
	while (index > first) row -= lines[--index].rows;
	box.style.top = `${row * ROW}px`;
	const shown = new Map();
	for (const end = (scrolled + height) / ROW + 8; index < lines.length && row < end; row += lines[index++].rows)
		shown.set(lines[index], nodes.get(lines[index]) ?? element(lines[index]));
	nodes = shown;
	arrange(box, [...shown.values()]);
	if (!main.classList.contains('wrap')) return false;
	let again = false;
	index = first;
	for (const [line, node] of shown) {
		const more = node.measured ? 0 : setRows(line, index, Math.round(node.offsetHeight / ROW));
		node.measured = true;
		if (more && index < top && !follow) target = (target ?? scrolled) + more * ROW;
		again ||= more !== 0;
		index += 1;
	}
	return again;
}

function seek(wanted) {
	let { index, row } = anchor;
	while (index > 0 && row > wanted) row -= lines[--index].rows;
	while (index < lines.length - 1 && row + lines[index].rows <= wanted) row += lines[index++].rows;
	anchor = { index, row };
}

const TIME = /^\S*\d\d:\d\d\S*|^[A-Z][a-z]{2} [ \d]\d [\d:]{8}|^\d{4}[-/]\d\d[-/]\d\d \S+|\[[^\]]*:\d\d:\d\d[^\]]*\]/;

// The first of: a priority, klog's letter, a word in capitals, one where levels stand, a status.
const WORDS = '(emerg|alert|crit|fatal|panic|severe|err|warn|notice|info|debug|trace)(?:ical|or|ing)?';
const LEVEL = RegExp(`^<([0-7])>|^([EFIWD])\\d{4} |\\b${WORDS.toUpperCase()}\\b|(?:\\[|\\b(?:level|lvl|severity)"?[:=] ?"?)${WORDS}`
	+ '|\\b([Ee]rror|[Ww]arning|[Ff]atal|[Pp]anic): |" ([45])\\d\\d [\\d-]');

function level(text) {
	const word = LEVEL.exec(text.slice(0, 400))?.slice(1).find(group => group);
	if (!word) return '';
	if (text[0] === '<' && word < 8) return ['', 'warn', '', '', 'debug'][word - 3] || (word < 4 ? 'error' : '');
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
	if (needle) for (const { 0: match, index } of text.matchAll(RegExp(needle, needle.flags + 'g'))) {
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
	if (follow) from = null;
	if (phase === 'live') tell(phase);
	if (phase === 'full') connectNow();
	write();
	schedule();
}

function toEnd() {
	if (phase === 'full') {
		gap('lines are left out here, on to the end');
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
	const row = lines.slice(0, index).reduce((rows, line) => rows + line.rows, 0);
	scrollTo(row * ROW - height / 3);
	requestAnimationFrame(() => nodes.get(found)?.querySelector('mark').scrollIntoView(NEAR));
}

function look(text) {
	needle = text ? RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'), text === text.toLowerCase() ? 'i' : '') : null;
	found = null;
	hits = 0;
	for (const line of lines) hits += line.hit = !line.mark && needle !== null && needle.test(line.text);
	say('hits', '');
	nodes.clear();
	schedule();
	find(-1);
}

function showFind(wanted) {
	$('find').hidden = !wanted;
	$('finding').ariaPressed = wanted;
	if (wanted) $('needle').select();
	else view.focus();
	look(wanted ? $('needle').value : '');
}

function wrap() {
	$('wrap').ariaPressed = main.classList.toggle('wrap');
	layout();
}

// The fragment: which file, from where, which lines.
function write() {
	const query = new URLSearchParams(), top = anchor.index ? lines[anchor.index - 1].place : oldest;
	const start = follow ? from : top || from;
	if (start) query.set('from', start);
	if (filter) query.set('filter', filter);
	written = `#/${file}?${query}`.replace(/\?$/, '');
	if (file !== null && written !== location.hash) history.replaceState(null, '', written);
}

// navigator.clipboard is not to be had without TLS.
function copyLink() {
	write();
	const field = make('textarea', location.href);
	document.body.append(field);
	field.select();
	if (document.execCommand('copy')) say('copy', 'Copied');
	field.remove();
	view.focus();
	soon('copy', 1500, () => say('copy', 'Link'));
}

function start(name, wanted, where) {
	clear();
	[file, filter, from] = [name, wanted.trim(), where];
	follow = !where || where.startsWith('-');
	write();
	$('save').href = address('0');
	connect();
}

function setFilter() {
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
	entries.get(file)?.scrollIntoView(NEAR);
	refresh();
}

const KEYS = {
	' ': () => source || phase === 'full' ? setFollow(!follow) : connectNow(),
	G: toEnd, End: toEnd,
	g: () => scrollTo(0),
	f: () => $('filter').select(),
	'/': () => showFind($('find').hidden || document.activeElement !== $('finding')),
	n: () => find(1), N: () => find(-1),
	w: wrap,
	c: copyLink,
	o: () => $('search').select(),
	'?': () => $('help').showModal(),
	Escape: () => { if ($('find').hidden) location.hash = '#/'; else showFind(false); },
};

const ENTER = {
	search: () => $('list').querySelector('a')?.click(),
	filter: () => { setFilter(); view.focus(); },
	needle: ({ shiftKey }) => find(shiftKey ? -1 : 1),
};

document.onkeydown = event => {
	const { target: at, key } = event;
	if (event.ctrlKey || event.metaKey || event.altKey || $('help').open) return;
	if (at.matches('input')) {
		if (key === 'Enter') ENTER[at.id](event);
		else if (key !== 'Escape') return;
		else if (at === $('needle')) showFind(false);
		else view.focus();
	} else if (file === null && key === '/') $('search').select();
	else if (at.matches('button, a') && ' Enter'.includes(key) || file === null && key !== '?' || !KEYS[key]) return;
	else KEYS[key]();
	event.preventDefault();
};

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
$('help').onclick = () => $('help').close();
// A button does what its key does, and leaves the keys with the lines.
main.onclick = event => {
	const key = event.target.closest('button')?.value;
	if (!KEYS[key]) return;
	if (event.detail && key !== '/') view.focus();
	KEYS[key]();
};

view.addEventListener('wheel', event => { if (event.deltaY < 0) setFollow(false); }, { passive: true });
view.onscroll = () => {
	const y = view.scrollTop, most = view.scrollHeight - view.clientHeight;
	// Not what a browser does by itself, when the window changes.
	if (follow ? y < scrolled - 2 && y < most - 2 : y > scrolled + 1 && y > most - 2) setFollow(!follow);
	scrolled = y;
	if (!follow) soon('write', 300, write);
	schedule();
};
document.onselectionchange = () => {
	const { isCollapsed, anchorNode } = getSelection();
	if (!isCollapsed && view.contains(anchorNode)) setFollow(false);
};
new ResizeObserver(layout).observe(view);

function awake() {
	clearTimeout(timers.rest);
	if (document.hidden) return soon('rest', REST_AFTER, () => {
		if (file === null || phase === 'full') return;
		disconnect();
		tell('resting', 'Resting');
	});
	if (phase === 'resting') connectNow();
	refresh();
}

document.onvisibilitychange = awake;
window.onhashchange = route;
route();
if (document.hidden) awake();
