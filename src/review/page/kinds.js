// Kinds of messages, and which of them have been seen.
//
// Messages of one kind differ only in the values of the partners' rows. A kind is seen when one of its messages
// has been opened. The marks are kept in the browser, by the digest of the inputs, so that they apply to exactly
// what is approved. They hold hashes only.

'use strict';

// From how many messages on a list is long, so that it begins with one message of each kind.
const LONG = 50;
// How many kinds the overview lists.
const KINDS_LISTED = 40;

// Each kind by its hash: its first message, how many there are, and its label.
const kinds = new Map();
const seen = new Set();
// Whether the browser keeps the marks.
let marksAreKept = true;

function readKinds(messages) {
  for (const row of messages) {
    const kind = kinds.get(row.kind);
    if (kind) kind.count += 1;
    else kinds.set(row.kind, { key: row.kind, first: row, count: 1 });
  }
  labelKinds();
}

// Language and package; if several kinds share them, also what their messages lack; and else a number.
function labelKinds() {
  const severalPackages = summary.about.packages.length > 1;
  const base = ({ first }) =>
    [`${languageName(first.language)} (${first.language})`, severalPackages && first.package].filter(Boolean).join(' · ');
  for (const group of grouped([...kinds.values()], base)) {
    const lacks = (field, words) => {
      const isCommon = group.some((it) => it.first[field]);
      return (kind) => isCommon && !kind.first[field] && words;
    };
    const missing = [lacks('name', 'without a name'), lacks('organization', 'without an organisation')];
    const label = (kind) => [base(kind), ...missing.map((it) => it(kind))].filter(Boolean).join(' · ');
    for (const alike of grouped(group, label)) {
      const number = (index) => (alike.length > 1 ? ` · variant ${index + 1}` : '');
      alike.forEach((kind, index) => Object.assign(kind, { label: label(kind) + number(index) }));
    }
  }
}

// The items with the same label, together.
function grouped(items, label) {
  const groups = new Map();
  for (const item of items) {
    if (!groups.has(label(item))) groups.set(label(item), []);
    groups.get(label(item)).push(item);
  }
  return groups.values();
}

// The first row of each kind, in the order of the rows.
function oneOfEach(messages) {
  const found = new Set();
  return messages.filter((row) => !found.has(row.kind) && found.add(row.kind));
}

// ---- Seen marks ----

const storageName = () => `access-invite seen ${summary.about.digest}`;

function readSeen() {
  try {
    const kept = JSON.parse(localStorage.getItem(storageName()) ?? '[]');
    kept.filter((key) => kinds.has(key)).forEach((key) => seen.add(key));
  } catch {
    // The storage is refused, or holds something else; keepSeen shows which.
  }
  keepSeen();
}

function keepSeen() {
  try {
    localStorage.setItem(storageName(), JSON.stringify([...seen]));
    marksAreKept = true;
  } catch {
    marksAreKept = false;
  }
}

function mark(row, isSeen) {
  if (seen.has(row.kind) === isSeen) return;
  if (isSeen) seen.add(row.kind);
  else seen.delete(row.kind);
  keepSeen();
  showSeen();
  draw();
}

// What depends on the marks: the count, the box of the open message, and the table of the overview.
function showSeen() {
  const count = `${figure(seen.size)} of ${counted(kinds.size, 'kind')} seen`;
  const lost = marksAreKept ? '' : ' · this browser does not keep it';
  $('seen-count').textContent = kinds.size > 0 ? count + lost : '';
  $('seen').checked = current !== null && isMessage(current) && seen.has(current.kind);
  $('kinds').replaceChildren(...kindsTable(count));
  $('kinds').hidden = kinds.size === 0;
}

function kindsTable(count) {
  const row = (kind) =>
    tr(
      '',
      th(button('link', () => open(kind.first), bdi(kind.label))),
      td('', seen.has(kind.key) ? pill('seen', 'new') : pill('not seen')),
      td('number', figure(kind.count)),
    );
  const listed = [...kinds.values()].sort((one, other) => other.count - one.count);
  const more = listed.length - KINDS_LISTED;
  const how = marksAreKept
    ? 'A kind is seen when one of its messages has been opened. The marks are kept in this browser until the inputs change.'
    : 'A kind is seen when one of its messages has been opened. This browser refuses to keep the marks, so they are lost when the page is closed.';
  return [
    element('h3', {}, 'Kinds of messages'),
    p('small', `${count}. Messages of one kind differ only in the values of the list. ${how}`),
    div('card', table('', tbody('', ...listed.slice(0, KINDS_LISTED).map(row)))),
    more > 0 && p('small', `And ${counted(more, 'more kind')}.`),
  ].filter(Boolean);
}

// Opens the first message of the next kind that has not been seen.
function stepToUnseen() {
  const after = shown.slice(shown.indexOf(current) + 1).find((row) => isMessage(row) && !seen.has(row.kind));
  go(after ?? [...kinds.values()].find((kind) => !seen.has(kind.key))?.first);
}
