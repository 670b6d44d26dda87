// Printing: the list, who is not mailed and why, and one mail of each kind.
//
// The mails must have been loaded and measured before the browser prints, so the page prepares them first. If the
// browser prints without that, only the lists are printed, which say so.

'use strict';

// More rows or mails would make a file that nobody prints.
const ROWS_PRINTED = 20_000;
const KINDS_PRINTED = 200;
// How long loading the mails may take.
const PATIENCE = 20_000;
// The largest mail on a sheet, in CSS pixels: a sheet of A4 or US Letter less what stands above the mail.
const SHEET = { width: 640, height: 800 };

async function printAll() {
  $('preparing').hidden = false;
  try {
    await readSkipped();
    const printed = [...kinds.values()].slice(0, KINDS_PRINTED);
    const sheets = [];
    for (const kind of printed) sheets.push(sheet(kind, await detail(kind.first)));
    const left = kinds.size - printed.length;
    const note = left > 0 ? `The mails of ${counted(left, 'more kind')} are not printed.` : '';
    $('print').replaceChildren(...lists(note), ...sheets);
    const loading = [...document.querySelectorAll('#print iframe')];
    await until(() => loading.every((it) => it.dataset.height));
  } finally {
    $('preparing').hidden = true;
  }
  window.print();
}

async function until(holds) {
  for (const begun = Date.now(); !holds() && Date.now() - begun < PATIENCE; ) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

// Called by the browser before it prints; it does not wait for mails.
function beforePrint() {
  if ($('print').childElementCount > 0) return;
  const note = kinds.size > 0 ? 'The mails are not printed; use the button “Print” on the overview of the page for them.' : '';
  $('print').replaceChildren(...lists(note));
}

function lists(note) {
  const { about, messages, left_out: skipped } = summary;
  const approved = about.approval && (about.approval.given ? 'approved' : `to approve: ${about.approval.command}`);
  return [
    element('h1', {}, about.title),
    p('', `${about.lead} · campaign `, bdi(about.campaign), ` · ${when(about.made)}`),
    p('', `${tally(messages, 'message')}, ${figure(skipped)} not mailed. `, kindsSeen()),
    p('', 'Digest of the inputs: ', code('whole', about.digest), approved && span('', ', ', code('whole', approved))),
    note && p('', note),
    about.warnings.length > 0 && section('Warnings', ...about.warnings.map((text) => div('warning', ...withCode(text)))),
    messages > 0 && section('Messages', rowsTable(MESSAGE_HEAD, people.messages, messageCells, messages)),
    skipped > 0 && section('Not mailed', rowsTable(SKIPPED_HEAD, people.skipped, skippedCells, skipped)),
  ].filter(Boolean);

  function tally(number, thing) {
    const { first, again, reminders } = summary;
    const parts = [`${figure(first)} first`];
    if (again > 0) parts.push(`${figure(again)} again`);
    if (reminders > 0) parts.push(counted(reminders, 'reminder'));
    return parts.length > 1 ? `${counted(number, thing)} (${parts.join(', ')})` : counted(number, thing);
  }
}

const kindsSeen = () => (kinds.size > 0 ? `${figure(seen.size)} of ${counted(kinds.size, 'kind')} seen.` : '');

const MESSAGE_HEAD = ['#', 'To', 'Organisation', 'Language', 'Package', 'Subject', 'Remark'];
const messageCells = (row) => [
  figure(row.number),
  who(row),
  bdi(row.organization),
  row.language,
  bdi(row.package),
  bdi(row.subject),
  [row.attempts > 0 && 'tried before', ...row.notes].filter(Boolean).join(', '),
];
const SKIPPED_HEAD = ['Line', 'Partner', 'Organisation', 'Package', 'Reason'];
const skippedCells = (row) => [
  figure(row.line),
  who(row),
  bdi(row.organization),
  bdi(row.package),
  span('', bdi(row.why), row.earlier && ` (${mailed(row.earlier)})`, row.road.length > 0 && ` · ${told(row.road)}`),
];

const who = (row) => span('', row.name && bdi(row.name), row.name && ' ', ...mailbox(row));

function rowsTable(head, rows, cells, total) {
  const printed = rows.slice(0, ROWS_PRINTED);
  const line = (row) => tr('', ...cells(row).map((it) => td('', it)));
  const left = total - printed.length;
  return div(
    'list',
    table('', element('thead', {}, tr('', ...head.map((it) => element('th', { scope: 'col' }, it)))), tbody('', ...printed.map(line))),
    left > 0 && p('', `And ${figure(left)} more.`),
  );
}

// One mail, with what an inbox shows of it, on a sheet of its own.
function sheet({ first, count, label }, known) {
  const stands = count > 1 ? `, one of ${figure(count)} of its kind` : '';
  const device = div('device', mailFrame(first));
  const made = element(
    'section',
    { className: 'sheet' },
    element('h2', {}, bdi(label)),
    p('', `Message ${figure(first.number)}${stands}`),
    element('dl', { className: 'facts' }, ...factList(...messageFacts(first, known), ['Subject', bdi(first.subject)], ['Preheader', bdi(known.preheader)])),
    device,
  );
  return made;
}

// Scales a printed mail down to its sheet.
function fitSheet(mail) {
  const height = Number(mail.dataset.height);
  const scale = Math.min(SHEET.width / DESKTOP, SHEET.height / height);
  Object.assign(mail.style, { width: `${DESKTOP}px`, height: `${height}px`, transform: `scale(${scale})` });
  Object.assign(mail.parentElement.style, { width: `${DESKTOP * scale}px`, height: `${height * scale}px` });
}

function listenForPrinting() {
  window.addEventListener('beforeprint', beforePrint);
  window.addEventListener('afterprint', () => $('print').replaceChildren());
  $('to-print').onclick = () => printAll().catch(complain);
  document.addEventListener('keydown', (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey || event.key !== 'p') return;
    event.preventDefault();
    printAll().catch(complain);
  });
}
