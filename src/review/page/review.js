// The page of a review: searches thousands of messages and shows one as its recipient will see it.
//
// The data files beside it are scripts that call `review`, because a page opened from disk cannot read files
// in another way. Their content is only used as text nodes and as values of fixed properties, never as
// markup. The mail is shown in a frame in which nothing loads, no link can be followed, and nothing runs but the
// line that reports its height. kinds.js and print.js belong to this page, too.

'use strict';

// The fields of the rows in the data files, in order (src/review.rs writes them).
const MESSAGE =
  'number name address unicode organization subject language asked package mark kind attempts notes size line reminder'.split(' ');
const SKIPPED = 'name address unicode organization package reason why line earlier road'.split(' ');
const DETAIL = 'number headers text source proof notes preheader from replyTo earlier road'.split(' ');
const MARKS = ['', 'added', 'changed'];
// The width of a mail on a desktop, in CSS pixels.
const DESKTOP = 700;
// A mail is not shown higher than this, whatever its frame reports.
const HIGHEST = 20_000;

// Browsers cannot scroll through more than about ten million pixels, and memory is limited.
const ROWS_SHOWN = 200_000;
const SKIPPED_READ = 100_000;
// The number of cached parts of messages, so that paging is fast.
const PIECES_KEPT = 8;

const $ = (id) => document.getElementById(id);

// The loaded data, and the current view.
let summary;
const people = { messages: [], skipped: [] };
let shown = [];
let current = null;

// Whether a row is a message; the others are partners who are not mailed, with the reason.
const isMessage = (row) => row.reason === undefined;

// ---- The data files ----

const pieces = new Map();
const arriving = new Map();
let reviewed;

const padded = (number) => String(number).padStart(4, '0');
// The name of a data file without its extension; a part in one file has the number 0.
const pieceName = (part, number) => (number ? `${part}-${padded(number)}` : part);

// Called by each data file when it is loaded.
function review(id, part, number, value) {
  reviewed ??= id;
  const [resolve, reject] = arriving.get(pieceName(part, number)) ?? [];
  if (id === reviewed) resolve?.(value);
  else reject?.(new Error('it has been replaced by another one since this page was opened; reload the page'));
}

// Loads a data file, once.
function piece(part, number = 0) {
  const name = pieceName(part, number);
  if (!pieces.has(name)) pieces.set(name, new Promise((resolve, reject) => load(name, resolve, reject)));
  return pieces.get(name);
}

function load(name, resolve, reject) {
  arriving.set(name, [resolve, reject]);
  const over = () => {
    script.remove();
    arriving.delete(name);
    // Has no effect if the file has called `review`.
    reject(new Error(`its file data/${name}.js is missing or not whole; make the preview again`));
  };
  const script = element('script', { src: `data/${name}.js`, onload: over, onerror: over });
  document.head.append(script);
}

const fields = (names, row) => Object.fromEntries(names.map((name, index) => [name, row[index]]));

// All rows of a part, from all its files.
async function rows(part, total, names) {
  const numbers = Array.from({ length: Math.ceil(total / summary.listed) }, (_, index) => index + 1);
  const read = await Promise.all(numbers.map((number) => piece(part, number)));
  // The rows are kept as objects, so the files can be discarded.
  numbers.forEach((number) => pieces.delete(pieceName(part, number)));
  return read
    .flat()
    .slice(0, total)
    .map((row) => fields(names, row));
}

// The details of one message.
async function detail(message) {
  const number = Math.ceil(message.number / summary.detailed);
  const known = await piece('messages', number);
  const kept = [...pieces.keys()].filter((name) => name.startsWith('messages-'));
  const old = kept.filter((name) => name !== pieceName('messages', number));
  old.slice(0, Math.max(0, kept.length - PIECES_KEPT)).forEach((name) => pieces.delete(name));
  return fields(DETAIL, known[(message.number - 1) % summary.detailed]);
}

// ---- Elements ----

// An element with properties and children; empty and false children are omitted.
function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children.filter(Boolean));
  return made;
}

// The same for elements with only a class: `p('small', 'text')`.
const [p, b, li, dt, dd, div, span, code, pre, table, tbody, tr, td] =
  'p b li dt dd div span code pre table tbody tr td'.split(' ').map(
    (tag) =>
      (className, ...children) =>
        element(tag, { className }, ...children),
  );
const th = (...children) => element('th', { scope: 'row' }, ...children);
const button = (className, onclick, ...children) =>
  element('button', { type: 'button', className, onclick }, ...children);
// A scrollable region that can be reached by keyboard and has a name for screen readers.
const region = (tag, className, ariaLabel, text) =>
  element(tag, { className, ariaLabel, role: 'region', tabIndex: 0, dir: 'auto' }, text);

// A text from the list, isolated so that its direction does not affect the surrounding text.
const bdi = (text, className = '') => element('bdi', { className }, text);
const ltr = (text, className = '') => element('bdi', { className, dir: 'ltr' }, text);
const pill = (text, className = '') => span(`pill ${className}`, text);
// An address, and behind it the address in Unicode, where it differs.
const mailbox = ({ address, unicode }) => [
  ltr(address, 'address'),
  unicode && span('unicode', ' (', ltr(unicode, 'address'), ')'),
];
const named = (it) => [it.name && bdi(it.name), it.name && ' ', ...mailbox(it)];

const figure = (number) => number.toLocaleString('en');
const counted = (number, thing) => `${figure(number)} ${thing}${number === 1 ? '' : 's'}`;
const size = (bytes) => (bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);
const when = (time) => new Date(time).toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'short' });

// Without case and accents, so that `francois` finds François.
const fold = (text) => text.toLowerCase().normalize('NFKD').replace(/\p{M}/gu, '');

const languages = new Intl.DisplayNames(['en'], { type: 'language', fallback: 'none' });
function languageName(tag) {
  try {
    return languages.of(tag) ?? tag;
  } catch {
    return tag;
  }
}

// In descending order.
const byCount = (counts) => [...counts].sort((one, other) => other[1] - one[1] || (one[0] < other[0] ? -1 : 1));

// How many messages invite to a package.
const invited = (key) => new Map(summary.packages).get(key) ?? 0;

const chosen = (name) => document.querySelector(`input[name="${name}"]:checked`).value;
function choose(name, value) {
  document.querySelector(`input[name="${name}"][value="${value}"]`).checked = true;
}

// ---- Search and filters ----

// The filters, each a select of the same name: the list it applies to, if not both; the label for no filter;
// the minimum number of choices to show it; whether a row matches; its choices.
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
    all: 'Warnings or not',
    least: 2,
    fits: (row, value) => (value === 'any' ? row.notes.length > 0 : row.notes.includes(value)),
    choices: () => [
      ['any', 'Any warning', null],
      ...byCount(summary.notes).map(([kind, count]) => [kind, kind, count]),
    ],
  },
  mark: {
    list: 'messages',
    all: 'Changed or not',
    least: 1,
    fits: (row, value) => MARKS[row.mark] === value,
    choices: () =>
      summary.before
        ? [
            ['added', 'Added', summary.added],
            ['changed', 'Changed', summary.changed],
          ]
        : [],
  },
  tried: {
    list: 'messages',
    all: 'First, repeated or reminder',
    least: 2,
    fits: (row, value) => value === (row.reminder > 0 ? 'reminder' : row.attempts > 0 ? 'again' : 'first'),
    choices: () =>
      [
        ['first', 'For the first time', summary.first],
        ['again', 'Tried before', summary.again],
        ['reminder', 'Reminders', summary.reminders],
      ].filter(([, , count]) => count > 0),
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
    const options = choices.map(([value, label, count]) =>
      element('option', { value }, count === null ? label : `${label} · ${figure(count)}`),
    );
    $(id).replaceChildren(element('option', { value: '' }, filter.all), ...options);
  }
}

// The rows that match the search and the filters.
function find() {
  const which = chosen('which');
  const used = [];
  for (const [id, filter] of Object.entries(FILTERS)) {
    const offered = filter.useful && (filter.list ?? which) === which;
    $(id).parentElement.hidden = !offered;
    if (offered && $(id).value) used.push([filter.fits, $(id).value]);
  }
  const words = fold($('search').value).split(/\s+/).filter(Boolean);
  shown = people[which].filter(
    (row) => used.every(([fits, value]) => fits(row, value)) && words.every((word) => folded(row).includes(word)),
  );
  // A search is for a certain partner, so it finds all of them.
  $('one-of-each').disabled = words.length > 0;
  $('one-of-each').parentElement.hidden = which !== 'messages' || kinds.size === people.messages.length;
  const sampled = which === 'messages' && $('one-of-each').checked && words.length === 0;
  if (sampled) shown = oneOfEach(shown);
  tellFound(which, sampled || used.length > 0 || words.length > 0);
  $('list').scrollTop = 0;
  draw();
  if (current) tellPosition();
}

// The searchable text of a row, computed on first use.
function folded(row) {
  const { name, address, unicode, organization, subject, asked, why } = row;
  row.folded ??= fold([name, address, unicode, organization, subject, row.package, asked, why].join('\n'));
  return row.folded;
}

function tellFound(which, narrowed) {
  const total = which === 'messages' ? summary.messages : summary.left_out;
  const all = counted(total, which === 'messages' ? 'message' : 'partner');
  const listed = people[which].length;
  const some = listed < total ? `, of which the first ${figure(listed)} are listed here` : '';
  $('found').textContent = (narrowed ? `${figure(shown.length)} of ${figure(total)}` : all) + some;
  $('clear').hidden = !narrowed;
  $('list').hidden = shown.length === 0;
  $('nothing').hidden = shown.length > 0;
  if (shown.length > 0) return;
  // Instead of an empty list: why it is empty, and a link to the other list.
  const empty = which === 'messages' ? 'No message is due.' : 'All partners are mailed.';
  const [other, there, what] =
    which === 'messages' ? ['skipped', summary.left_out, 'not mailed'] : ['messages', summary.messages, 'mailed'];
  const look = () => {
    choose('which', other);
    whichChanged().catch(complain);
  };
  $('nothing').replaceChildren(
    p('', narrowed ? 'No partner matches.' : empty),
    there > 0 ? button('', look, `Search the ${figure(there)} ${what}`) : '',
  );
}

async function readSkipped() {
  if (people.skipped.length > 0 || summary.left_out === 0) return;
  people.skipped = await rows('skipped', Math.min(summary.left_out, SKIPPED_READ), SKIPPED);
  people.skipped.forEach((row, index) => Object.assign(row, { number: index + 1 }));
}

async function whichChanged() {
  if (chosen('which') === 'skipped') await readSkipped();
  find();
}

function forgetFilters() {
  $('search').value = '';
  $('one-of-each').checked = false;
  Object.keys(FILTERS).forEach((id) => Object.assign($(id), { value: '' }));
}

// Sets one filter from the overview and shows the list.
function filterBy(id, value, which = 'messages') {
  choose('which', which);
  forgetFilters();
  $(id).value = value;
  location.hash = '#people';
  whichChanged()
    .then(() => $('list').focus())
    .catch(complain);
}

// ---- The list ----
//
// Only the visible rows exist. Each has its position and the total for screen readers.

const rowHeight = () => parseFloat(getComputedStyle(document.documentElement).fontSize) * 4.25;

// The fragment for a row; the id of its element is the same with the prefix `row-`.
const place = (row) => `${isMessage(row) ? 'm' : 's'}${row.number}`;

function draw() {
  const height = rowHeight();
  const list = $('list');
  const count = Math.min(shown.length, ROWS_SHOWN);
  const first = Math.max(0, Math.floor(list.scrollTop / height) - 5);
  const last = Math.min(count, Math.ceil((list.scrollTop + list.clientHeight) / height) + 5);
  $('space').style.height = `${count * height}px`;
  $('space').replaceChildren(...shown.slice(first, last).map((row, index) => option(row, first + index, height)));
  const selected = current && $(`row-${place(current)}`);
  if (selected) list.setAttribute('aria-activedescendant', selected.id);
  else list.removeAttribute('aria-activedescendant');
}

function option(row, index, height) {
  const more = isMessage(row) ? row.organization : row.why;
  const second = row.name ? [ltr(row.unicode || row.address), more && ' · ', bdi(more)] : [bdi(more)];
  const made = div(
    'row',
    bdi(row.name || row.unicode || row.address, 'who'),
    span('marks', ...(isMessage(row) ? marks(row) : [])),
    span('what', ...second),
  );
  const said = { role: 'option', ariaSelected: row === current, ariaPosInSet: index + 1, ariaSetSize: shown.length };
  Object.assign(made, said, { id: `row-${place(row)}`, onclick: () => open(row) });
  made.style.transform = `translateY(${index * height}px)`;
  return made;
}

function marks(row) {
  const warned = row.notes.join(', ');
  const sign = span('pill warned', '!', span('unseen', ` warning: ${warned}`));
  sign.title = warned;
  const fresh = span('fresh', span('unseen', 'kind not seen yet'));
  fresh.title = 'This kind has not been seen yet';
  const reminder = row.reminder > 0 && pill(`reminder ${row.reminder}`);
  return [!seen.has(row.kind) && fresh, reminder, row.mark > 0 && pill(MARKS[row.mark], MARKS[row.mark]), warned && sign, pill(row.language)];
}

function scrollTo(index) {
  if (index < 0) return;
  const list = $('list');
  const height = rowHeight();
  if (index * height < list.scrollTop) list.scrollTop = index * height;
  const below = (index + 1) * height - list.clientHeight;
  if (below > list.scrollTop) list.scrollTop = below;
}

// ---- One partner ----

// Shows a partner; `quietly` adds no entry to the browser's history.
function open(row, { quietly = false } = {}) {
  current = row;
  const hash = `#${place(row)}`;
  if (quietly) location.replace(hash);
  else if (location.hash !== hash) location.hash = hash;
  scrollTo(shown.indexOf(row));
  draw();
  show(row);
}

function show(row) {
  showPane('main');
  document.title = `${row.name || row.address} · ${summary.about.title}`;
  $('overview').hidden = true;
  $('partner').hidden = false;
  $('notes').hidden = true;
  $('proof').hidden = true;
  $('views').hidden = !isMessage(row);
  tellPosition();
  $('inbox').hidden = true;
  $('seen').parentElement.hidden = !isMessage(row);
  if (isMessage(row)) {
    $('subject').replaceChildren(bdi(row.subject));
    $('facts').replaceChildren(...factList(...messageFacts(row)));
    showPart();
    detail(row)
      .then(() => row === current && mark(row, true))
      .catch(complain);
    $('seen').checked = seen.has(row.kind);
  } else {
    const { name, organization, earlier } = row;
    $('subject').replaceChildren(bdi(name || row.unicode || row.address), ' is not mailed');
    const list = [
      ['Address', ...mailbox(row)],
      organization && ['Organisation', bdi(organization)],
      row.package && ['Package', bdi(row.package)],
      earlier && ['Mailed', mailed(earlier)],
      row.road.length > 0 && ['So far', told(row.road)],
    ];
    $('facts').replaceChildren(...factList(...list));
    $('stage').replaceChildren(div('card why', p('', bdi(row.why))));
  }
}

// What a mail program shows above a message, and what the list says of it. `known` are its details, once loaded.
function messageFacts(row, known) {
  const asked = row.asked && row.asked !== row.language ? ` for ${row.asked}` : '';
  const alike = kinds.get(row.kind)?.count ?? 1;
  return [
    known && ['From', ...named(known.from)],
    known?.replyTo && ['Reply-To', ...named(known.replyTo)],
    ['To', ...named(row)],
    row.reminder > 0 && ['Sent as', `reminder ${row.reminder}`],
    row.organization && ['Organisation', bdi(row.organization)],
    ['Language', `${languageName(row.language)} (${row.language})${asked}`],
    summary.about.packages.length > 1 && ['Package', bdi(row.package)],
    alike > 1 && ['Kind', `one of ${counted(alike, 'message')} that differ only in the partner’s values`],
    known?.earlier && ['Mailed before', mailed(known.earlier)],
    known?.road.length > 0 && ['So far', told(known.road)],
  ];
}

// `12 Mar 2026, 14:05: accepted · 1 attempt · Message-ID <…>`.
function mailed({ at, state, attempts, message_id: id, repeats }) {
  const again = repeats ? ' · the same bytes are sent again' : '';
  return `${when(at)}: ${state} · ${counted(attempts, 'attempt')} · Message-ID <${id}>${again}`;
}

// `invited 12 Mar 2026, 14:05, requested 13 Mar 2026, 09:00`.
const told = (road) => road.map(([what, at]) => (at ? `${what} ${when(at)}` : what)).join(', ');

function factList(...list) {
  const fact = ([term, ...values]) => div('', dt('', term), dd('', ...values));
  return list.filter(Boolean).map(fact);
}

// The message as one line of an inbox: sender, subject, and the beginning of the text.
function showInbox(row, known) {
  const sender = known.from.name || known.from.unicode || known.from.address;
  $('inbox').replaceChildren(
    bdi(sender, 'sender'),
    span('line', bdi(row.subject, 'subject'), known.preheader && span('preheader', ' – ', bdi(known.preheader))),
  );
  $('inbox').hidden = false;
}

// The chosen view of the message: mail, text, headers or source.
async function showPart() {
  const row = current;
  if (!row || !isMessage(row)) return;
  const part = chosen('part');
  $('looks').hidden = part !== 'mail';
  if (part === 'mail') showMail(row);
  const known = await detail(row).catch(complain);
  // Another row may have been selected in the meantime.
  if (!known || row !== current || part !== chosen('part')) return;
  showInbox(row, known);
  $('facts').replaceChildren(...factList(...messageFacts(row, known)));
  $('notes').replaceChildren(...known.notes.map((text, index) => li('', b('', `${row.notes[index]}: `), bdi(text))));
  $('notes').hidden = known.notes.length === 0;
  const [line, list] = $('proof').children;
  line.textContent = `Verified: the complete link, and nothing else linked · ${size(row.size)}`;
  list.replaceChildren(...known.proof.map((text) => li('', text)));
  $('proof').hidden = false;
  const views = {
    text: () => region('div', 'letter', 'Text part', known.text),
    headers: () => div('card', table('', tbody('', ...known.headers.map(header)))),
    source: () => region('pre', '', 'Source', known.source),
  };
  if (part !== 'mail') $('stage').replaceChildren(views[part](), files(row));
}

// The address of a mailbox follows its name, whatever the direction of the name.
function header([name, value]) {
  const [, who, mailbox] = value.match(/^(.*) (<[^<>]*>)$/) ?? [];
  return tr('', th(name), td('', ...(mailbox ? [bdi(who), ' ', ltr(mailbox)] : [bdi(value)])));
}

function files(row) {
  const names = ['html', 'txt', 'eml'].map((ending) => `${padded(row.number)}.${ending}`);
  return p('files', ...names.map((name) => element('a', { href: `messages/${name}`, target: '_blank' }, name)));
}

// The mail in a frame of the chosen width and colours. A new frame each time, because a frame that
// loads another page adds entries to the browser's history.
function showMail(row) {
  const mail = mailFrame(row);
  const device = div('device', mail);
  // After a click into the mail, the keys work again when the pointer leaves it.
  device.onpointerleave = () => document.activeElement === mail && $('detail').focus({ preventScroll: true });
  $('stage').replaceChildren(device, files(row));
  fit();
}

function mailFrame(row) {
  const mail = element('iframe', {
    src: `messages/${padded(row.number)}.html`,
    title: `The mail to ${row.name || row.address}`,
    className: 'light',
  });
  // The policy of the file allows no script but the one that reports the height.
  mail.setAttribute('sandbox', 'allow-scripts');
  return mail;
}

// Called when a frame reports the height of its mail, so that the mail has no scrollbar of its own.
function onHeight({ source, data }) {
  const mail = [...document.querySelectorAll('.device iframe')].find((it) => it.contentWindow === source);
  if (!mail || !Number.isFinite(data)) return;
  mail.dataset.height = Math.min(HIGHEST, Math.max(1, data));
  if (mail.closest('#print')) fitSheet(mail);
  else fit();
}

// Desktop width is at least 700 px; if the page has less space, the mail is scaled down, not narrowed.
function fit() {
  const device = document.querySelector('#stage .device');
  if (!device) return;
  const small = chosen('width') === 'phone';
  device.classList.toggle('phone', small);
  const mail = device.firstElementChild;
  mail.className = chosen('scheme');
  const scale = small ? 1 : Math.min(1, device.clientWidth / DESKTOP);
  const height = Number(mail.dataset.height ?? device.clientHeight);
  const frame = device.offsetHeight - device.clientHeight;
  device.style.height = mail.dataset.height ? `${Math.ceil(height * scale) + frame}px` : '';
  Object.assign(mail.style, {
    width: `${100 / scale}%`,
    height: mail.dataset.height ? `${height}px` : `${100 / scale}%`,
    transform: scale < 1 ? `scale(${scale})` : '',
  });
}

function tellPosition() {
  const index = shown.indexOf(current);
  const what = isMessage(current) ? 'Message' : 'Partner';
  const lost = `${what} ${figure(current.number)}, not in the list at the left`;
  const found = `${figure(index + 1)} of ${figure(shown.length)}`;
  const line = ` · line ${figure(current.line)} of the list`;
  const mark = MARKS[current.mark ?? 0];
  $('position').replaceChildren((index < 0 ? lost : found) + line, mark ? pill(mark, mark) : '');
  $('previous').disabled = index === 0 || shown.length === 0;
  $('next').disabled = index === shown.length - 1;
}

// ---- Paging ----

function go(row) {
  if (row && row !== current) open(row, { quietly: current !== null });
}

// Moves by this many rows; without a selected row, to the first.
function step(by) {
  const index = shown.indexOf(current);
  go(shown[index < 0 ? 0 : Math.min(shown.length - 1, Math.max(0, index + by))]);
}

// Moves to the next row that was added, has changed or has a warning.
function stepToNoteworthy() {
  const after = shown.slice(shown.indexOf(current) + 1);
  go(after.find((row) => row.mark > 0 || row.notes?.length > 0));
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
  showSeen();
}

const section = (title, ...children) => element('section', {}, element('h3', {}, title), ...children);

// A table of names and counts; each name is a button that filters the list.
function tally(counts, total, label, onclick) {
  const row = ([value, count]) =>
    tr(
      '',
      th(button('link', () => onclick(value), ...label(value))),
      td('bar-cell', element('meter', { max: total, value: count, ariaLabel: `${count} of ${total}` })),
      td('number', figure(count)),
    );
  return div('card', table('', tbody('', ...byCount(counts).map(row))));
}

function tile(number, text, onclick) {
  const content = [b('', figure(number)), span('', text)];
  return number > 0 ? button('tile', onclick, ...content) : div('tile', ...content);
}

function writeOverview() {
  const { about } = summary;
  const kind = (it) => [it];
  const language = (tag) => [languageName(tag), pill(tag)];
  const { messages, left_out: skipped } = summary;
  $('overview').replaceChildren(
    ...[
      div('', element('h2', { className: 'lead' }, about.lead), p('', 'Campaign ', bdi(about.campaign))),
      div('', div('tiles', ...tiles()), since()),
      about.warnings.length > 0 && warnings(about.warnings),
      element('section', { id: 'kinds', hidden: true }),
      summary.notes.length > 0 &&
        section(
          'Messages with warnings',
          tally(summary.notes, messages, kind, (it) => filterBy('note', it)),
        ),
      messages > 0 &&
        section(
          'Languages',
          tally(summary.templates, messages, language, (tag) => filterBy('language', tag)),
          asked(),
        ),
      packages(about.packages),
      skipped > 0 &&
        section(
          'Not mailed',
          tally(summary.reasons, skipped, kind, (it) => filterBy('reason', it, 'skipped')),
        ),
      (about.approval || about.partial) && approval(about),
      aboutReview(about),
    ].filter(Boolean),
  );
}

function tiles() {
  const { messages, first, again, reminders, left_out: skipped } = summary;
  const warned = summary.about.warnings.length;
  const all = [tile(messages, messages === 1 ? 'message' : 'messages', () => filterBy('language', ''))];
  if (again + reminders > 0) all.push(tile(first, 'for the first time', () => filterBy('tried', 'first')));
  if (again > 0) all.push(tile(again, 'tried before', () => filterBy('tried', 'again')));
  if (reminders > 0) all.push(tile(reminders, reminders === 1 ? 'reminder' : 'reminders', () => filterBy('tried', 'reminder')));
  all.push(
    tile(skipped, 'not mailed', () => filterBy('reason', '', 'skipped')),
    tile(warned, warned === 1 ? 'warning' : 'warnings', () => $('warnings').scrollIntoView()),
  );
  if (!summary.before) return all;
  const since = ['added', 'changed'].map((mark) => tile(summary[mark], mark, () => filterBy('mark', mark)));
  return [...all, ...since];
}

// The changes since the previous review.
function since() {
  if (!summary.before) {
    return p('small', 'The first review in this folder; the next one will show what was added or has changed.');
  }
  const are = summary.gone === 1 ? 'is' : 'are';
  const gone = summary.gone > 0 ? ` ${counted(summary.gone, 'message')} of that review ${are} no longer due.` : '';
  return p('small', `Added and changed since the review of ${when(summary.before)}.${gone}`);
}

// A message of the program, with what stands between backticks as code.
function withCode(text) {
  return text.split('`').map((part, at) => (at % 2 === 1 ? code('', part) : part));
}

function warnings(texts) {
  const each = texts.map((text) => div('warning', ...withCode(text)));
  return Object.assign(section(counted(texts.length, 'warning'), ...each), { id: 'warnings' });
}

// The requested languages without a template of their own.
function asked() {
  const pairs = byCount(summary.asked).map(([pair, count]) => [...pair.split(' '), count]);
  const other = pairs.filter(([wanted, used]) => wanted && wanted !== used);
  const told = other.slice(0, 40).map(([wanted, used, count]) => `${wanted} → ${used} (${figure(count)})`);
  const more = other.length > 40 ? ` and ${other.length - 40} more` : '';
  return other.length > 0 && p('small', `Asked for, and written in: ${told.join(', ')}${more}.`);
}

function packages(list) {
  const row = ({ key, name, link, unicode }) =>
    tr(
      '',
      th(bdi(name), element('br'), span('small', key)),
      td('whole', link, unicode && p('small', 'The directory hint in Unicode: ', ltr(unicode))),
      td('number', figure(invited(key))),
    );
  const title = list.length === 1 ? 'Access package' : 'Access packages';
  return section(title, div('card', table('', tbody('', ...list.map(row)))));
}

// The digest of the inputs, and how to approve it.
function approval({ digest, approval: how }) {
  const until = 'until the configuration, a link, a template or the list changes.';
  const text = how?.given
    ? `Just this has been approved. It holds ${until}`
    : `When all of it is right, approve it with the command below, on the machine that sends. It approves just what this page shows, ${until}`;
  const partial = 'Only a part of the list is shown, which cannot be approved. Make a preview of the whole list.';
  return section(
    'Approval',
    p('small', how ? text : partial),
    how && !how.given && div('card', element('pre', { className: 'command', id: 'command' }, how.command)),
    p('small', 'Digest of the inputs: ', code('whole', digest)),
  );
}

function aboutReview(about) {
  const read = `${size(summary.bytes)} of mail, read back from the finished messages. `;
  return section(
    'About this review',
    p(
      'small',
      `Made ${when(about.made)}. ${summary.bytes > 0 ? read : ''}Links inside the mails lead nowhere here. `,
      'The same without JavaScript: the ',
      element('a', { href: 'list.html' }, 'plain list'),
      '.',
    ),
    div('', button('', () => printAll().catch(complain), 'Print the list and one mail of each kind')),
  );
}

// ---- The page ----

// On a phone, one of the two panes is visible; review.css uses the same width.
const phone = matchMedia('(max-width: 47.99rem)');
function showPane(name) {
  $('app').setAttribute('data-pane', name);
  if (name === 'list') draw();
  else $('detail').scrollTop = 0;
}

// Shows an error that prevents the review.
function complain(error) {
  $('trouble').textContent = `This review cannot be shown: ${error.message}.`;
  $('trouble').hidden = false;
  showPane('main');
}

// Follows the fragment: `#m12` is a message, `#s3` a partner who is not mailed, `#people` the list on a phone.
async function follow() {
  const [, kind, number] = location.hash.match(/^#([ms])(\d+)$/) ?? [];
  if (location.hash === '#people' && phone.matches) return showPane('list');
  if (!kind) return showOverview();
  const which = kind === 'm' ? 'messages' : 'skipped';
  if (chosen('which') !== which || (which === 'skipped' && people.skipped.length === 0)) {
    choose('which', which);
    await whichChanged();
  }
  const row = people[which][number - 1];
  if (!row) return showOverview();
  return row === current ? showPane('main') : open(row, { quietly: true });
}

function flip(name, one, other) {
  choose(name, chosen(name) === one ? other : one);
  fit();
}

function lookAt(part) {
  choose('part', part);
  showPart();
}

function search() {
  showPane('list');
  $('search').focus();
  $('search').select();
}

const KEYS = {
  j: () => step(1),
  k: () => step(-1),
  n: stepToNoteworthy,
  u: stepToUnseen,
  s: () => current && isMessage(current) && mark(current, !seen.has(current.kind)),
  g: () => go(shown[0]),
  G: () => go(shown[shown.length - 1]),
  '/': search,
  '?': () => $('keys').showModal(),
  o: () => Object.assign(location, { hash: '#summary' }),
  w: () => flip('width', 'phone', 'desktop'),
  d: () => flip('scheme', 'dark', 'light'),
  1: () => lookAt('mail'),
  2: () => lookAt('text'),
  3: () => lookAt('headers'),
  4: () => lookAt('source'),
};

// The keys that always work in the list.
const LIST_KEYS = {
  ArrowDown: KEYS.j,
  ArrowUp: KEYS.k,
  Home: KEYS.g,
  End: KEYS.G,
  Enter: () => {
    if (!current) return step(1);
    showPane('main');
    return $('detail').focus();
  },
};

function onKey(event) {
  const { target, key } = event;
  if (event.ctrlKey || event.altKey || event.metaKey || $('keys').open) return;
  if (target === $('search')) {
    if (key !== 'Escape') return;
    forgetFilters();
    find();
    $('list').focus();
    return;
  }
  const single = $('single-keys').checked && !target.matches('select') && KEYS[key];
  const work = (target === $('list') && LIST_KEYS[key]) || single;
  if (!work) return;
  event.preventDefault();
  work();
}

function listen() {
  document.addEventListener('keydown', onKey);
  window.addEventListener('message', onHeight);
  window.addEventListener('hashchange', () => follow().catch(complain));
  new ResizeObserver(() => {
    draw();
    fit();
  }).observe($('app'));
  $('list').addEventListener('scroll', () => requestAnimationFrame(draw), { passive: true });
  $('search').addEventListener('input', find);
  $('filters').addEventListener('submit', (event) => event.preventDefault());
  $('filters').addEventListener('change', ({ target }) => {
    if (target !== $('search')) whichChanged().catch(complain);
  });
  $('views').addEventListener('change', ({ target }) => (target.name === 'part' ? showPart() : fit()));
  $('clear').onclick = () => {
    forgetFilters();
    find();
    $('search').focus();
  };
  $('seen').onchange = () => mark(current, $('seen').checked);
  $('previous').onclick = KEYS.k;
  $('next').onclick = KEYS.j;
  $('back').onclick = () => Object.assign(location, { hash: '#people' });
  $('to-overview').onclick = KEYS.o;
  $('to-keys').onclick = KEYS['?'];
}

async function begin() {
  $('app').hidden = false;
  summary = await piece('summary');
  const { about } = summary;
  document.title = about.title;
  $('title').textContent = about.title;
  $('lead').textContent = `${about.campaign} · ${when(about.made)}`;
  $('messages-count').textContent = figure(summary.messages);
  $('skipped-count').textContent = figure(summary.left_out);
  // On a phone, the phone width is the default.
  if (phone.matches) choose('width', 'phone');
  offerFilters();
  writeOverview();
  people.messages = await rows('list', summary.messages, MESSAGE);
  readKinds(people.messages);
  readSeen();
  $('one-of-each').checked = summary.messages > LONG && kinds.size < summary.messages;
  listen();
  listenForPrinting();
  find();
  await follow();
}

begin().catch(complain);
