// The page of a review: finds messages among thousands and shows one as its partner will see it.
//
// It reads the data files beside it, which are scripts that call `review`, because a page from
// disk may not read files otherwise. What comes from them is only ever text: it is put into the
// page by `textContent` and attributes with fixed names, never as markup. The mail itself is shown
// in a frame that may run nothing, load nothing and lead nowhere.

'use strict';

// What the rows of the data files hold, in order (src/gallery.rs writes them).
const MESSAGE = ['number', 'name', 'address', 'organization', 'subject', 'language', 'asked', 'package', 'mark', 'notes', 'size', 'line'];
const SKIPPED = ['name', 'address', 'organization', 'package', 'reason', 'why', 'line'];
const DETAIL = ['number', 'headers', 'text', 'source', 'proof', 'notes'];
const MARKS = ['', 'new', 'changed'];

// Browsers cannot scroll through more than some ten million pixels, and memory has an end, too.
const ROWS_SHOWN = 200_000;
const SKIPPED_READ = 100_000;
// Pieces of messages that are kept, so that going back and forth is quick.
const PIECES_KEPT = 8;

const $ = (id) => document.getElementById(id);

// What the page is about, and what it shows of it just now.
let summary;
const people = { messages: [], skipped: [] };
let shown = [];
let current = null;


// ---- The data files ----

const pieces = new Map();
const arriving = new Map();
let reviewed;

// The name of a data file without its ending; a part that is whole has the number 0.
const pieceName = (part, number) => (number ? `${part}-${padded(number)}` : part);
const padded = (number) => String(number).padStart(4, '0');

// Called by each data file when it is there.
function review(id, part, number, value) {
  reviewed ??= id;
  const [resolve, reject] = arriving.get(pieceName(part, number)) ?? [];
  if (id === reviewed) resolve?.(value);
  else reject?.(new Error('it has been replaced by another one since this page was opened; reload the page'));
}

// Loads a data file, once.
function piece(part, number = 0) {
  const name = pieceName(part, number);
  if (!pieces.has(name)) {
    pieces.set(name, new Promise((resolve, reject) => {
      arriving.set(name, [resolve, reject]);
      const script = document.createElement('script');
      script.src = `data/${name}.js`;
      const over = () => {
        script.remove();
        arriving.delete(name);
        reject(new Error(`its file data/${name}.js is missing or not whole; make the preview again`));
      };
      script.onload = over;
      script.onerror = over;
      document.head.append(script);
    }));
  }
  return pieces.get(name);
}

// All rows of a part, from as many files as it takes.
async function rows(part, total, each, names) {
  const files = Array.from({ length: Math.ceil(total / each) }, (_, index) => piece(part, index + 1));
  const read = (await Promise.all(files)).flat().slice(0, total);
  // The rows are kept as objects; their files need not be kept, too.
  files.forEach((_, index) => pieces.delete(pieceName(part, index + 1)));
  return read.map((row) => Object.fromEntries(names.map((name, index) => [name, row[index]])));
}

// What is known of one message beyond its row.
async function detail(message) {
  const number = Math.ceil(message.number / summary.detailed);
  const known = await piece('messages', number);
  const kept = [...pieces.keys()].filter((name) => name.startsWith('messages-'));
  kept.slice(0, Math.max(0, kept.length - PIECES_KEPT)).forEach((name) => name !== pieceName('messages', number) && pieces.delete(name));
  const row = known[(message.number - 1) % summary.detailed];
  return Object.fromEntries(DETAIL.map((name, index) => [name, row[index]]));
}


// ---- Small things ----

// An element with properties and children; texts become text and nothing else.
function element(tag, properties = {}, ...children) {
  const { data = {}, ...rest } = properties;
  const made = Object.assign(document.createElement(tag), rest);
  for (const [name, value] of Object.entries(data)) made.setAttribute(name, value);
  made.append(...children.filter((it) => it !== null && it !== undefined && it !== ''));
  return made;
}

// A text from a list, whose direction must not turn what stands around it.
const bdi = (text, className = '') => element('bdi', { className, textContent: text });
const address = (text) => element('bdi', { className: 'address', dir: 'ltr', textContent: text });
const pill = (text, className = '') => element('span', { className: `pill ${className}`, textContent: text });
const figure = (number) => number.toLocaleString('en');
const counted = (number, thing) => `${figure(number)} ${thing}${number === 1 ? '' : 's'}`;
const size = (bytes) => (bytes < 1_000_000 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`);
const when = (time) => new Date(time).toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'short' });

// Without case and accents, so that `francois` finds François.
const fold = (text) => text.toLowerCase().normalize('NFKD').replace(/\p{M}/gu, '');

const names = new Intl.DisplayNames(['en'], { type: 'language', fallback: 'none' });
function languageName(tag) {
  try {
    return names.of(tag) ?? tag;
  } catch {
    return tag;
  }
}

// How many messages invite to a package.
const invited = (key) => new Map(summary.packages).get(key) ?? 0;

// The largest first.
const byCount = (counts) => [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));


// ---- Finding ----

const chosen = (name) => document.querySelector(`input[name="${name}"]:checked`).value;
const choose = (name, value) => { document.querySelector(`input[name="${name}"][value="${value}"]`).checked = true; };

// The filters, each a select of the same name: which list it is for, if not for both; what it says
// when it is not used; from how many choices on it is of use; what it holds against a row; its choices.
const FILTERS = {
  language: {
    list: 'messages',
    all: 'All languages',
    least: 2,
    fits: (row, value) => row.language === value,
    choices: () => byCount(summary.templates).map(([tag, count]) => [tag, `${languageName(tag)} (${tag})`, count]),
  },
  package: {
    all: 'All packages',
    least: 2,
    fits: (row, value) => row.package === value,
    choices: () => summary.about.packages.map(({ key }) => [key, key, invited(key)]),
  },
  note: {
    list: 'messages',
    all: 'Warned or not',
    least: 2,
    fits: (row, value) => (value === 'any' ? row.notes.length > 0 : row.notes.includes(value)),
    choices: () => [['any', 'Any warning', null], ...byCount(summary.notes).map(([kind, count]) => [kind, kind, count])],
  },
  mark: {
    list: 'messages',
    all: 'New or not',
    least: 1,
    fits: (row, value) => MARKS[row.mark] === value,
    choices: () => (summary.before ? [['new', 'New', summary.new], ['changed', 'Changed', summary.changed]] : []),
  },
  reason: {
    list: 'skipped',
    all: 'All reasons',
    least: 2,
    fits: (row, value) => row.reason === value,
    choices: () => byCount(summary.reasons).map(([kind, count]) => [kind, kind, count]),
  },
};

function offerFilters() {
  for (const [id, filter] of Object.entries(FILTERS)) {
    const choices = filter.choices();
    filter.useful = choices.length >= filter.least;
    $(id).replaceChildren(
      element('option', { value: '', textContent: filter.all }),
      ...choices.map(([value, label, count]) => element('option', { value, textContent: count === null ? label : `${label} · ${figure(count)}` })),
    );
  }
}

// Which partners the list offers now.
function find() {
  const which = chosen('which');
  for (const [id, filter] of Object.entries(FILTERS)) {
    $(id).parentElement.hidden = !filter.useful || (filter.list ?? which) !== which;
  }
  const filters = Object.entries(FILTERS).filter(([id]) => $(id).value && !$(id).parentElement.hidden).map(([id, filter]) => [filter.fits, $(id).value]);
  const words = fold($('search').value).split(/\s+/).filter(Boolean);
  shown = people[which].filter((row) => {
    row.folded ??= fold([row.name, row.address, row.organization, row.subject, row.package, row.asked, row.why].filter(Boolean).join('\n'));
    return filters.every(([fits, value]) => fits(row, value)) && words.every((word) => row.folded.includes(word));
  });
  const total = which === 'messages' ? summary.messages : summary.left_out;
  const narrowed = filters.length > 0 || words.length > 0;
  $('found').textContent = narrowed ? `${figure(shown.length)} of ${figure(total)}` : counted(total, which === 'messages' ? 'message' : 'partner');
  if (which === 'skipped' && people.skipped.length < summary.left_out) {
    $('found').textContent += `, of which the first ${figure(people.skipped.length)} are listed here`;
  }
  $('clear').hidden = !narrowed;
  sayNothing(which, narrowed);
  $('list').scrollTop = 0;
  draw();
  if (current) tellPosition();
}

// In place of an empty list, why it is empty, and where else to look.
function sayNothing(which, narrowed) {
  $('list').hidden = shown.length === 0;
  $('nothing').hidden = shown.length > 0;
  if (shown.length > 0) return;
  const other = which === 'messages' ? 'skipped' : 'messages';
  const text = narrowed ? 'Nobody here fits.' : which === 'messages' ? 'No message is due.' : 'Everybody is mailed.';
  const there = other === 'skipped' ? summary.left_out : summary.messages;
  const look = there > 0 && element('button', {
    type: 'button',
    textContent: other === 'skipped' ? `Look among the ${figure(there)} not mailed` : `Look among the ${figure(there)} mailed`,
    onclick: () => { choose('which', other); whichChanged().catch(complain); },
  });
  $('nothing').replaceChildren(element('p', { textContent: text }), ...(look ? [look] : []));
}

async function whichChanged() {
  if (chosen('which') === 'skipped' && people.skipped.length === 0 && summary.left_out > 0) {
    const total = Math.min(summary.left_out, SKIPPED_READ);
    people.skipped = await rows('skipped', total, summary.listed, SKIPPED);
    people.skipped.forEach((row, index) => { row.number = index + 1; });
  }
  find();
}

function clear() {
  $('search').value = '';
  Object.keys(FILTERS).forEach((id) => { $(id).value = ''; });
  find();
}

// Sets one filter from the overview and shows the list.
function filterBy(id, value, which = 'messages') {
  choose('which', which);
  $('search').value = '';
  Object.keys(FILTERS).forEach((it) => { $(it).value = ''; });
  $(id).value = value;
  showPane('list');
  whichChanged().then(() => $('list').focus()).catch(complain);
}


// ---- The list ----
//
// Only the rows in sight exist. To a screen reader each says which of how many it is.

const rowHeight = () => parseFloat(getComputedStyle(document.documentElement).fontSize) * 4.25;

function draw() {
  const height = rowHeight();
  const list = $('list');
  const count = Math.min(shown.length, ROWS_SHOWN);
  const first = Math.max(0, Math.floor(list.scrollTop / height) - 5);
  const last = Math.min(count, Math.ceil((list.scrollTop + list.clientHeight) / height) + 5);
  $('space').style.height = `${count * height}px`;
  $('space').replaceChildren(...shown.slice(first, last).map((row, index) => option(row, first + index, height)));
  const selected = current && $(rowId(current));
  if (selected) list.setAttribute('aria-activedescendant', selected.id);
  else list.removeAttribute('aria-activedescendant');
}

// What the address says of a row, which is also the end of its element's id.
const place = (row) => `${row.reason === undefined ? 'm' : 's'}${row.number}`;
const rowId = (row) => `row-${place(row)}`;

function option(row, index, height) {
  const marks = row.reason !== undefined ? [] : [
    row.mark ? pill(MARKS[row.mark], MARKS[row.mark]) : null,
    row.notes.length > 0 ? element('span', { className: 'pill warned', title: row.notes.join(', ') }, '!', element('span', { className: 'unseen', textContent: ` warning: ${row.notes.join(', ')}` })) : null,
    pill(row.language),
  ].filter(Boolean);
  const made = element('div', { className: 'row', id: rowId(row), role: 'option', data: { 'aria-selected': row === current, 'aria-posinset': index + 1, 'aria-setsize': shown.length } },
    bdi(row.name || row.address, 'who'),
    element('span', { className: 'marks' }, ...marks),
    element('span', { className: 'what' }, ...whatOf(row)),
  );
  made.style.transform = `translateY(${index * height}px)`;
  made.onclick = () => open(row);
  return made;
}

// The second line of a row: the address where the name stands above it, and what else is known.
function whatOf(row) {
  const more = row.reason === undefined ? row.organization : row.why;
  return [row.name && element('bdi', { dir: 'ltr', textContent: row.address }), row.name && more && ' · ', bdi(more || (row.name ? '' : row.organization))].filter(Boolean);
}

function scrollTo(index) {
  if (index < 0) return;
  const list = $('list');
  const height = rowHeight();
  if (index * height < list.scrollTop) list.scrollTop = index * height;
  if ((index + 1) * height > list.scrollTop + list.clientHeight) list.scrollTop = (index + 1) * height - list.clientHeight;
}


// ---- One partner ----

// Shows a partner; `quietly` leaves no step behind that the browser's Back would return to.
function open(row, { quietly = false } = {}) {
  current = row;
  const hash = `#${place(row)}`;
  if (quietly) location.replace(hash);
  else if (location.hash !== hash) location.hash = hash;
  scrollTo(shown.indexOf(row));
  draw();
  show(row);
}

async function show(row) {
  showPane('main');
  $('overview').hidden = true;
  $('partner').hidden = false;
  tellPosition();
  $('proof').hidden = true;
  $('views').hidden = row.reason !== undefined;
  document.title = `${row.name || row.address} · ${summary.about.title}`;
  if (row.reason !== undefined) {
    showSkipped(row);
    return;
  }
  $('subject').replaceChildren(bdi(row.subject));
  const asked = row.asked && row.asked !== row.language ? ` for ${row.asked}` : '';
  facts([
    ['To', row.name && bdi(row.name), ' ', address(row.address)],
    row.organization && ['Organisation', bdi(row.organization)],
    ['Language', `${languageName(row.language)} (${row.language})${asked}`],
    summary.about.packages.length > 1 && ['Package', bdi(row.package)],
  ]);
  $('notes').hidden = true;
  await showPart(row);
}

function facts(list) {
  $('facts').replaceChildren(...list.filter(Boolean).map(([term, ...values]) => element('div', {}, element('dt', { textContent: term }), element('dd', {}, ...values.filter(Boolean)))));
}

function showSkipped(row) {
  $('subject').replaceChildren(bdi(row.name || row.address), ' is not mailed');
  facts([
    ['Address', address(row.address)],
    row.organization && ['Organisation', bdi(row.organization)],
    ['Package', bdi(row.package)],
  ]);
  $('notes').hidden = true;
  $('stage').replaceChildren(element('div', { className: 'card why' }, element('p', {}, bdi(row.why))));
}

// The chosen view of the message: mail, text, headers or source.
async function showPart(row = current) {
  if (!row || row.reason !== undefined) return;
  const part = chosen('part');
  $('looks').hidden = part !== 'mail';
  if (part === 'mail') showMail(row);
  let known;
  try {
    known = await detail(row);
  } catch (error) {
    complain(error);
    return;
  }
  // Meanwhile somebody may have gone on.
  if (row !== current || part !== chosen('part')) return;
  $('notes').replaceChildren(...known.notes.map((text, index) => element('li', {}, element('b', { textContent: `${row.notes[index]}: ` }), bdi(text))));
  $('notes').hidden = known.notes.length === 0;
  $('proof').hidden = false;
  $('proof').firstElementChild.textContent = `Proven: the whole link, and nothing else linked · ${size(row.size)}`;
  $('proof').lastElementChild.replaceChildren(...known.proof.map((text) => element('li', { textContent: text })));
  if (part === 'text') $('stage').replaceChildren(element('div', { className: 'letter', dir: 'auto', tabIndex: 0, role: 'region', ariaLabel: 'Text part', textContent: known.text }), files(row));
  if (part === 'headers') $('stage').replaceChildren(headers(known.headers), files(row));
  if (part === 'source') $('stage').replaceChildren(element('pre', { tabIndex: 0, role: 'region', ariaLabel: 'Source', textContent: known.source }), files(row));
}

function headers(list) {
  return element('div', { className: 'card' }, element('table', {}, element('tbody', {}, ...list.map(([name, value]) => element('tr', {}, element('th', { scope: 'row', textContent: name }), element('td', {}, ...headerValue(value)))))));
}

// A mailbox keeps its address behind its name, whatever the direction of the name.
function headerValue(value) {
  const [, name, mailbox] = value.match(/^(.*) (<[^<>]*>)$/) ?? [];
  return mailbox ? [bdi(name), ' ', element('bdi', { dir: 'ltr', textContent: mailbox })] : [bdi(value)];
}

function files(row) {
  const file = `messages/${padded(row.number)}`;
  return element('p', { className: 'files' }, ...['html', 'txt', 'eml'].map((ending) => element('a', { href: `${file}.${ending}`, target: '_blank', textContent: `${padded(row.number)}.${ending}` })));
}

// The mail in a frame of the chosen width and colours. A new frame each time, because a frame that
// changes its page leaves steps for the browser's Back.
function showMail(row) {
  const mail = element('iframe', { src: `messages/${padded(row.number)}.html`, className: chosen('scheme'), title: `The mail to ${row.name || row.address}` });
  mail.setAttribute('sandbox', '');
  const device = element('div', { className: 'device' }, mail);
  // Whoever has clicked into the mail goes on with the keys when the pointer leaves it.
  device.onpointerleave = () => { if (document.activeElement === mail) $('detail').focus({ preventScroll: true }); };
  $('stage').replaceChildren(device, files(row));
  fit();
}

// A desktop is 800 px wide; where the page has less room, the mail is shown smaller, not narrower.
function fit() {
  const device = document.querySelector('.device');
  if (!device) return;
  const phone = chosen('width') === 'phone';
  device.classList.toggle('phone', phone);
  const mail = device.firstElementChild;
  mail.className = chosen('scheme');
  const scale = phone ? 1 : Math.min(1, device.clientWidth / 700);
  mail.style.width = `${100 / scale}%`;
  mail.style.height = `${100 / scale}%`;
  mail.style.transform = scale < 1 ? `scale(${scale})` : '';
}

function tellPosition() {
  const index = shown.indexOf(current);
  const message = current.reason === undefined;
  $('position').replaceChildren(
    index < 0 ? `${message ? 'Message' : 'Partner'} ${figure(current.number)}, not among those found` : `${figure(index + 1)} of ${figure(shown.length)}`,
    ` · line ${figure(current.line)} of the CSV`,
    message && current.mark ? pill(MARKS[current.mark], MARKS[current.mark]) : '',
  );
  $('previous').disabled = index === 0 || shown.length === 0;
  $('next').disabled = index === shown.length - 1;
}

// Goes on by so many; from nowhere, to the first.
function step(by) {
  const index = shown.indexOf(current);
  const next = shown[index < 0 ? 0 : Math.min(shown.length - 1, Math.max(0, index + by))];
  if (next && next !== current) open(next, { quietly: current !== null });
}

// The next that is new, changed or warned about.
function stepToNoteworthy() {
  const after = shown.indexOf(current) + 1;
  const next = shown.slice(after).find((row) => row.mark > 0 || row.notes?.length > 0);
  if (next) open(next, { quietly: current !== null });
}


// ---- The overview ----

function showOverview() {
  current = null;
  showPane('main');
  document.title = summary.about.title;
  $('partner').hidden = true;
  $('overview').hidden = false;
  $('stage').replaceChildren();
  draw();
}

function section(title, ...children) {
  return element('section', {}, element('h3', { textContent: title }), ...children);
}

// A table of names and counts; a name that is a button filters the list by itself.
function tally(entries, total, label, onclick) {
  return element('div', { className: 'card' }, element('table', {}, element('tbody', {}, ...entries.map(([value, count]) => element('tr', {},
    element('th', { scope: 'row' }, onclick ? element('button', { type: 'button', className: 'link', onclick: () => onclick(value) }, ...label(value)) : element('span', {}, ...label(value))),
    element('td', { className: 'bar-cell' }, element('meter', { max: total, value: count, ariaLabel: `${count} of ${total}` })),
    element('td', { className: 'number', textContent: figure(count) }),
  )))));
}

function tile(number, text, onclick) {
  const content = [element('b', { textContent: figure(number) }), element('span', { textContent: text })];
  return onclick && number > 0 ? element('button', { type: 'button', className: 'tile', onclick }, ...content) : element('div', { className: 'tile' }, ...content);
}

function writeOverview() {
  const { about } = summary;
  const tiles = [
    tile(summary.messages, summary.messages === 1 ? 'message' : 'messages', () => filterBy('language', '')),
    tile(summary.left_out, 'not mailed', () => filterBy('reason', '', 'skipped')),
    tile(about.warnings.length, about.warnings.length === 1 ? 'warning' : 'warnings', () => $('warnings').scrollIntoView()),
  ];
  if (summary.before) {
    tiles.push(tile(summary.new, 'new', () => filterBy('mark', 'new')), tile(summary.changed, 'changed', () => filterBy('mark', 'changed')));
  }
  const parts = [
    element('div', {}, element('h2', { className: 'lead', textContent: about.lead }), element('p', {}, 'Campaign ', bdi(about.campaign))),
    element('div', {}, element('div', { className: 'tiles' }, ...tiles), since()),
  ];
  if (about.warnings.length > 0) {
    const made = section(counted(about.warnings.length, 'warning'), ...about.warnings.map((text, index) => element('div', { className: 'warning', dir: 'auto', tabIndex: 0, role: 'region', ariaLabel: `Warning ${index + 1}`, textContent: text })));
    made.id = 'warnings';
    parts.push(made);
  }
  if (summary.notes.length > 0) {
    parts.push(section('Messages to look at twice', tally(byCount(summary.notes), summary.messages, (kind) => [kind], (kind) => filterBy('note', kind))));
  }
  if (summary.messages > 0) {
    parts.push(section('Languages', tally(byCount(summary.templates), summary.messages, (tag) => [languageName(tag), pill(tag)], (tag) => filterBy('language', tag)), asked()));
  }
  parts.push(section(about.packages.length === 1 ? 'Access package' : 'Access packages', element('div', { className: 'card' }, element('table', {}, element('tbody', {}, ...about.packages.map((it) => element('tr', {},
    element('th', { scope: 'row' }, bdi(it.name), element('br'), element('span', { className: 'small', textContent: it.key })),
    element('td', { className: 'whole', textContent: it.link }),
    element('td', { className: 'number', textContent: figure(invited(it.key)) }),
  )))))));
  if (summary.left_out > 0) {
    parts.push(section('Not mailed', tally(byCount(summary.reasons), summary.left_out, (kind) => [kind], (kind) => filterBy('reason', kind, 'skipped'))));
  }
  if (about.approval) parts.push(section('Approval', ...approval(about.approval)));
  parts.push(section('About this review', element('p', { className: 'small' },
    `Made ${when(about.made)}.${summary.bytes ? ` ${size(summary.bytes)} of mail, read back from the finished messages.` : ''} Links inside the mails lead nowhere here. The same without JavaScript: the `,
    element('a', { href: 'list.html', textContent: 'plain list' }), '.')));
  $('overview').replaceChildren(...parts);
}

// What stands behind the review, and how it is approved.
function approval({ digest, command, given }) {
  const text = given
    ? 'Just this has been approved. It holds until the configuration, a link, a template or the list changes.'
    : 'When all of it is right, approve it with the command below. That holds until the configuration, a link, a template or the list changes.';
  return [
    element('p', { className: 'small', textContent: text }),
    element('div', { className: 'card' }, element('pre', { textContent: given ? digest : command })),
    given || command.includes(digest) ? null : element('p', { className: 'small' }, 'Digest of the inputs: ', element('code', { className: 'whole', textContent: digest })),
  ].filter(Boolean);
}

// What has come and gone since the preview before.
function since() {
  if (!summary.before) return element('p', { className: 'small', textContent: 'The first review in this folder; the next one will tell what is new or changed.' });
  const gone = summary.gone ? ` ${counted(summary.gone, 'message')} of then ${summary.gone === 1 ? 'is' : 'are'} no longer due.` : '';
  return element('p', { className: 'small', textContent: `New and changed since the review of ${when(summary.before)}.${gone}` });
}

// Who asked for a language that has no template of its own.
function asked() {
  const other = byCount(summary.asked).map(([pair, count]) => [...pair.split(' '), count]).filter(([wanted, used]) => wanted && wanted !== used);
  if (other.length === 0) return null;
  return element('p', { className: 'small' }, 'Asked for, and written in: ', other.slice(0, 40).map(([wanted, used, count]) => `${wanted} → ${used} (${figure(count)})`).join(', '), other.length > 40 ? ` and ${other.length - 40} more` : '', '.');
}


// ---- The page ----

// On a phone one of the two panes is in sight.
function showPane(name) {
  $('app').setAttribute('data-pane', name);
  if (name === 'list') draw();
  else $('detail').scrollTop = 0;
}

// Something that keeps the review from being shown.
function complain(error) {
  $('trouble').textContent = `This review cannot be shown: ${error.message}.`;
  $('trouble').hidden = false;
  showPane('main');
}

// Follows the address: `#m12` is a message, `#s3` somebody who is not mailed.
async function follow() {
  const [, kind, number] = location.hash.match(/^#([ms])(\d+)$/) ?? [];
  if (!kind) {
    if (location.hash === '#people') showPane('list');
    else showOverview();
    return;
  }
  const which = kind === 'm' ? 'messages' : 'skipped';
  if (chosen('which') !== which || (which === 'skipped' && people.skipped.length === 0)) {
    choose('which', which);
    await whichChanged();
  }
  const row = people[which][number - 1];
  if (!row) showOverview();
  else if (row !== current) open(row, { quietly: true });
  else showPane('main');
}

const KEYS = {
  j: () => step(1),
  k: () => step(-1),
  n: stepToNoteworthy,
  g: () => shown.length > 0 && open(shown[0], { quietly: current !== null }),
  G: () => shown.length > 0 && open(shown[shown.length - 1], { quietly: current !== null }),
  '/': () => { showPane('list'); $('search').focus(); $('search').select(); },
  '?': () => $('keys').showModal(),
  o: () => { location.hash = '#summary'; },
  w: () => { choose('width', chosen('width') === 'phone' ? 'desktop' : 'phone'); fit(); },
  d: () => { choose('scheme', chosen('scheme') === 'dark' ? 'light' : 'dark'); fit(); },
  ...Object.fromEntries(['mail', 'text', 'headers', 'source'].map((part, index) => [index + 1, () => { choose('part', part); showPart(); }])),
};

function onKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || $('keys').open) return;
  const { target, key } = event;
  if (key === 'Escape' && target === $('search')) {
    clear();
    $('list').focus();
    return;
  }
  const writing = target.matches('select, input[type="search"]');
  if (target === $('list') && ['ArrowDown', 'ArrowUp', 'Home', 'End', 'Enter'].includes(key)) {
    event.preventDefault();
    ({ ArrowDown: KEYS.j, ArrowUp: KEYS.k, Home: KEYS.g, End: KEYS.G, Enter: () => { if (current) { showPane('main'); $('detail').focus(); } else step(1); } })[key]();
  } else if (!writing && KEYS[key] && $('single-keys').checked) {
    event.preventDefault();
    KEYS[key]();
  }
}

function listen() {
  document.addEventListener('keydown', onKey);
  window.addEventListener('hashchange', () => follow().catch(complain));
  new ResizeObserver(() => { draw(); fit(); }).observe($('app'));
  $('list').addEventListener('scroll', () => requestAnimationFrame(draw), { passive: true });
  $('search').addEventListener('input', () => find());
  $('filters').addEventListener('submit', (event) => event.preventDefault());
  $('filters').addEventListener('change', (event) => {
    if (event.target.name === 'which') whichChanged().catch(complain);
    else if (event.target !== $('search')) find();
  });
  $('views').addEventListener('change', (event) => (event.target.name === 'part' ? showPart() : fit()));
  $('clear').onclick = () => { clear(); $('search').focus(); };
  $('previous').onclick = () => step(-1);
  $('next').onclick = () => step(1);
  $('back').onclick = () => { location.hash = '#people'; };
  $('to-overview').onclick = () => { location.hash = '#summary'; };
  $('to-keys').onclick = () => $('keys').showModal();
}

async function begin() {
  $('app').hidden = false;
  summary = await piece('summary');
  const { about } = summary;
  document.title = about.title;
  $('title').textContent = about.title;
  // Who looks on a phone sees the phone's mail first.
  if (matchMedia('(max-width: 47.99rem)').matches) choose('width', 'phone');
  $('lead').textContent = `${about.campaign} · ${when(about.made)}`;
  $('messages-count').textContent = figure(summary.messages);
  $('skipped-count').textContent = figure(summary.left_out);
  offerFilters();
  writeOverview();
  people.messages = await rows('list', summary.messages, summary.listed, MESSAGE);
  listen();
  find();
  await follow();
}

begin().catch(complain);
