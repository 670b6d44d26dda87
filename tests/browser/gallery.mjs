// The review as its reader uses it: opened from disk, searched, filtered, paged by keyboard, in light and dark, on
// a phone and on a desktop, printed; with hostile values in it; without a script; incomplete.
//
// The Rust test has made the reviews: `example`, `second` (something changed, somebody skipped), `again`
// (somebody is mailed once more), `kinds` (60
// messages of six kinds), `hostile`, `empty`, `torn` (a file is missing) and `sandbox`; `hostile.json` says what
// the hostile one must show.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { look } from './harness.mjs';

const folder = process.argv[2];
const PHONE = { width: 360, height: 760 };
const WIDE = { width: 1920, height: 1080 };
const DESK = { width: 1280, height: 800 };

await look(async (eye, problem) => {
  for (const scheme of ['light', 'dark']) {
    for (const [size, name] of [
      [DESK, 'desk'],
      [PHONE, 'phone'],
      ...(scheme === 'light' ? [[WIDE, 'wide']] : []),
    ]) {
      await open(eye, 'example', { name: `gallery-${name}-${scheme}`, ...size, scheme }, (view) => glance(view, name));
    }
  }
  for (const scheme of ['light', 'dark']) await pictures(eye, scheme);
  await open(eye, 'example', { name: 'keys', ...DESK, scheme: null }, keys);
  await open(eye, 'example', { name: 'find', ...DESK }, find);
  await open(eye, 'example', { name: 'touch', ...PHONE }, touch);
  await open(eye, 'second', { name: 'since', ...DESK }, since);
  await open(eye, 'example', { name: 'inbox', ...DESK }, inbox);
  for (const size of [DESK, PHONE]) await open(eye, 'example', { name: `height-${size.width}`, ...size }, fullHeight);
  await open(eye, 'kinds', { name: 'kinds', ...DESK }, oneOfEachKind);
  await open(eye, 'kinds', { name: 'marks', ...DESK }, seenMarks);
  await open(eye, 'again', { name: 'again', ...DESK }, again);
  for (const scheme of ['light', 'dark']) {
    await open(eye, 'second', { name: `print-${scheme}`, ...DESK, scheme }, print);
  }
  await open(eye, 'kinds', { name: 'print-menu', ...DESK }, printFromMenu);
  await open(eye, 'hostile', { name: 'hostile', ...DESK }, hostile);
  await open(eye, 'empty', { name: 'empty', ...DESK }, empty);
  await open(eye, 'sandbox', { name: 'sandbox', ...DESK }, sandbox);
  await open(eye, 'example', { name: 'plain', ...DESK, page: 'list.html' }, plain);
  await withoutScript(eye, problem);
  await torn(eye, problem);
  await clicked(eye, problem);
  await withoutStorage(eye, problem);
});

function open(eye, review, { page = 'index.html', ...how }, work) {
  const within = join(folder, review);
  return eye.open(join(within, page), { within, ...how }, async (view) => {
    if (page === 'index.html') await view.page.waitForSelector('.row, #nothing:not([hidden])', { state: 'attached' });
    await work(view);
  });
}

// ---- What is on the page ----

function text(view, selector) {
  return view.page.locator(selector).first().innerText();
}

function must(view, holds, what) {
  if (!holds) view.problem(what);
}

// What is to be read there, at once or soon: a machine may be busy.
async function says(view, selector, expected) {
  let found;
  for (let tries = 0; tries < 40; tries += 1) {
    found = (await text(view, selector)).replace(/\s+/g, ' ').trim();
    if (expected instanceof RegExp ? expected.test(found) : found === expected) return;
    await view.page.waitForTimeout(50);
  }
  view.problem(`${selector} says “${found}”, not “${expected}”`);
}

// A pane, an article or a dialog is, or soon comes, into sight.
function inSight(view, selector) {
  return view.page
    .waitForSelector(selector, { state: 'visible', timeout: 5000 })
    .catch(() => view.problem(`${selector} does not come into sight`));
}

// Presses keys one after another, and waits until the mail in the frame is there: a page that goes on
// before would be seen as a request that failed.
async function press(view, ...names) {
  for (const name of names) {
    await view.page.keyboard.press(name);
    await settled(view);
  }
}

async function settled(view) {
  await view.page.waitForTimeout(30);
  for (const frame of view.page.frames().slice(1)) await frame.waitForLoadState('load').catch(() => {});
}

// The fact about the recipient of the open message.
function recipient(view) {
  return view.page.locator('#facts div', { has: view.page.locator('dt', { hasText: /^To$/ }) });
}

function mail(view) {
  return view.page.frames()[1];
}

// ---- Scenes ----

// The overview and a message, looked at by eye (in the pictures), by axe and for what sticks out.
async function glance(view, name) {
  await says(view, '.lead', 'What a send would mail now');
  await view.shoot(`${view.name}-overview`, {});
  await view.mustNotOverflow();
  await view.mustBeAccessible();
  if (name === 'phone') {
    await view.page.click('#back');
    await inSight(view, '#list');
    await view.shoot(`${view.name}-list`, {});
    await view.mustBeAccessible();
    await view.page.click('.row >> nth=5');
  } else {
    await view.page.click('.row >> nth=5');
  }
  await settled(view);
  await says(view, '#subject', /Espace projet/);
  if (view.name.endsWith('dark')) await press(view, 'd');
  await view.shoot(`${view.name}-mail`, {});
  for (const key of ['2', '3', '4', '1']) {
    await press(view, key);
    await view.mustNotOverflow();
    await view.mustBeAccessible();
  }
}

// The pictures of the README; `docs/images` holds them as a run of this has made them.
async function pictures(eye, scheme) {
  const size = { width: 1160, height: 720 };
  await open(eye, 'example', { name: `readme-gallery-${scheme}`, ...size, scheme }, async (view) => {
    await view.page.click('.row >> nth=5');
    if (scheme === 'dark') await press(view, 'd');
    await settled(view);
    await view.page.mouse.move(5, 5);
    await view.shoot(view.name, {});
  });
  const mail = { page: 'messages/0006.html', width: 700, height: 860 };
  await open(eye, 'example', { name: `readme-mail-${scheme}`, ...mail, scheme }, (view) => view.shoot(view.name, {}));
}

async function keys(view) {
  const { page } = view;
  await press(view, 'j');
  await says(view, '#position', /^1 of 26/);
  await says(view, '#facts', /Siobhán O'Brien siobhan\.obrien@harbourworks\.example/);
  await press(view, 'j', 'j', 'k');
  await says(view, '#position', /^2 of 26/);
  must(view, mail(view).url().endsWith('/messages/0002.html'), `the frame shows ${mail(view).url()}`);
  await press(view, 'G');
  await says(view, '#position', /^26 of 26/);
  must(view, await page.isDisabled('#next'), 'there is more behind the last');
  await press(view, 'j', 'g');
  await says(view, '#position', /^1 of 26/);
  await press(view, 'n');
  await says(view, '#notes', /there is no template for `vi`/);

  // The mail follows the switches, not the system.
  const dark = () => mail(view).evaluate(() => matchMedia('(prefers-color-scheme: dark)').matches);
  const ground = () => mail(view).evaluate(() => getComputedStyle(document.querySelector('.page')).backgroundColor);
  const [day, light] = [await dark(), await ground()];
  await press(view, 'd');
  must(view, !day && (await dark()), 'the mail does not know that it is dark');
  must(view, (await ground()) !== light, 'the mail looks the same in the dark');
  const desk = await mail(view).evaluate(() => innerWidth);
  await press(view, 'w');
  const phone = await mail(view).evaluate(() => innerWidth);
  must(view, desk >= 700 && phone <= 390 && phone > 320, `the mail is ${desk} and ${phone} px wide`);
  await press(view, 'd', 'w');

  // Its parts.
  await press(view, '2');
  const link =
    'https://myaccess.microsoft.com/@contoso.onmicrosoft.com#/access-packages/8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11';
  must(
    view,
    (await text(view, '.letter')).split(/\r?\n/).includes(link),
    'the text part has no link on a line of its own',
  );
  await press(view, '3');
  await says(view, '.stage tr:has-text("Content-Language")', 'Content-Language en');
  await press(view, '4');
  await says(view, '.stage pre', /^From: .*Content-Transfer-Encoding/);
  await page.click('#proof summary');
  await says(view, '#proof ul', /whole link once, alone on its line.*octets of the 998 allowed/);
  await press(view, '1');

  await press(view, '?');
  await says(view, '#keys h2', 'Keys');
  await view.mustBeAccessible();
  await press(view, 'Escape');
  must(view, !(await page.isVisible('#keys')), 'Escape does not close the keys');
  await press(view, 'o');
  await says(view, '.lead', 'What a send would mail now');
  // Single keys can be switched off (WCAG 2.1.4).
  await press(view, '?');
  await page.uncheck('#single-keys');
  await press(view, 'Escape', 'j');
  must(view, await page.isVisible('#overview'), 'keys still do something after they were switched off');
  // The arrows in the list always do, and a screen reader is told where it is.
  await page.focus('#list');
  await press(view, 'ArrowDown', 'ArrowDown', 'End');
  await says(view, '#position', /^26 of 26/);
  const active = await page.evaluate(() => {
    const row = document.getElementById(document.getElementById('list').getAttribute('aria-activedescendant'));
    return ['aria-selected', 'aria-posinset', 'aria-setsize'].map((it) => row?.getAttribute(it)).join(' ');
  });
  must(view, active === 'true 26 26', `a screen reader is told ${active}`);
}

async function find(view) {
  const { page } = view;
  await press(view, '/');
  await page.keyboard.type('francois chantiers');
  await says(view, '#found', '1 of 26');
  await says(view, '.row .who', 'François Lefèvre');
  await press(view, 'Escape');
  await says(view, '#found', '26 messages');
  await page.selectOption('#language', 'ar');
  await says(view, '#found', '2 of 26');
  await press(view, 'j', 'j');
  await says(view, '#position', /^2 of 2/);
  const direction = await mail(view).evaluate(() =>
    [document.documentElement.lang, getComputedStyle(document.documentElement).direction].join(' '),
  );
  must(view, direction === 'ar rtl', `the Arabic mail is ${direction}`);
  await page.click('#clear');
  await page.selectOption('#note', 'default language');
  await says(view, '#found', '1 of 26');
  await page.selectOption('#note', 'any');
  await page.fill('#search', 'nobody at all');
  await says(view, '#nothing', 'No partner matches.');
  await view.mustBeAccessible();
  await page.click('#clear');
  await press(view, 'Escape', 'o');
  await page.click('#overview section:has(h3:text-is("Languages")) button:has-text("French")');
  await says(view, '#found', '3 of 26');
  // What the address says opens again.
  await page.evaluate(() => {
    location.hash = '#m11';
  });
  await settled(view);
  await says(view, '#facts', /taro\.yamada/);
  await page.goBack();
  await inSight(view, '#overview');
}

// On a phone one pane is in sight at a time, and the browser's Back leads from one to the other.
async function touch(view) {
  const { page } = view;
  await inSight(view, '#overview');
  must(view, !(await page.isVisible('#list')), 'a phone does not begin with the overview alone');
  await page.click('#back');
  await inSight(view, '#list');
  must(view, !(await page.isVisible('#detail')), 'the list does not come alone');
  await page.click('.row >> nth=2');
  await settled(view);
  await inSight(view, '#partner');
  must(view, !(await page.isVisible('#list')), 'the message does not come alone');
  must(view, await page.isChecked('input[value=phone]'), 'a phone is not shown the phone’s mail');
  await page.check('input[value=desktop]', { force: true });
  const wide = await mail(view).evaluate(() => innerWidth);
  must(view, wide >= 700, `the desktop’s mail is ${wide} px wide on a phone`);
  await view.mustNotOverflow();
  await page.goBack();
  await inSight(view, '#list');
}

// The message as an inbox shows it, and addresses in both forms.
async function inbox(view) {
  await press(view, 'j');
  await view.page.evaluate(() => {
    location.hash = '#m6';
  });
  await says(
    view,
    '#inbox',
    /^Contoso Partner Access Espace projet : Contoso vous invite à demander un accès – Demandez l’accès sur le portail Mon Accès \(My Access\) de Microsoft\. Merci d’envoyer votre demande au plus tard le 31 décembre 2099\./,
  );
  await says(
    view,
    '#facts',
    /^From Contoso Partner Access partner-access@contoso\.example Reply-To Partner Desk partners@contoso\.example To François Lefèvre francois\.lefevre@chantiers\.example/,
  );
  await view.page.fill('#search', 'bücher.example');
  await says(view, '#found', '1 of 26');
  await view.page.fill('#search', 'xn--bcher-kva');
  await says(view, '.row .what', /^k\.lang@bücher\.example/);
  await view.page.click('.row');
  await says(view, '#facts', /To Katharina Lang k\.lang@xn--bcher-kva\.example \(k\.lang@bücher\.example\)/);
  await says(view, '#facts', /To Katharina/);
  await press(view, 'Escape', 'o');
  const digest = '[0-9a-f]{16}(-[0-9a-f]{16}){3}';
  const command = `^access-invite send --approved ${digest} --config /.*/config\\.example\\.toml$`;
  await says(view, '#command', new RegExp(command));
}

// No mail has a scrollbar of its own, at any width and in either direction; only the page scrolls.
async function fullHeight(view) {
  for (const message of ['#m6', '#m9', '#m11']) {
    await view.page.evaluate((it) => {
      location.hash = it;
    }, message);
    for (const width of ['phone', 'desktop']) {
      await view.page.check(`input[value=${width}]`, { force: true });
      await settled(view);
      await inSight(view, '.device iframe[data-height]');
      await view.page.waitForTimeout(150);
      const inside = await mail(view).evaluate(() => {
        const { scrollHeight, clientHeight } = document.documentElement;
        return [scrollHeight - clientHeight, clientHeight - document.body.getBoundingClientRect().bottom];
      });
      must(view, inside[0] <= 0, `${message} on ${width} scrolls by ${inside[0]} px`);
      must(view, inside[1] < 40, `${message} on ${width} has ${inside[1]} px of empty space below it`);
      const cut = await view.page.evaluate(() => {
        const [device, frame] = ['.device', '.device iframe'].map((it) => document.querySelector(it).getBoundingClientRect());
        return frame.bottom - device.bottom;
      });
      must(view, Math.abs(cut) < 8, `the frame of ${message} on ${width} ends ${cut} px below its device`);
    }
  }
  await view.mustNotOverflow();
}

// A long list begins with one message of each kind; a search still finds everybody.
async function oneOfEachKind(view) {
  const { page } = view;
  must(view, await page.isChecked('#one-of-each'), 'a long list does not begin with one of each kind');
  await says(view, '#found', '6 of 60');
  await says(view, '#seen-count', '0 of 6 kinds seen');
  await view.shoot('gallery-kinds', {});
  await view.mustBeAccessible();
  await says(view, '#kinds', /English \(en\) not seen 18 .*English \(en\) · without a name not seen 2/);
  await page.fill('#search', 'person 31');
  await says(view, '#found', '1 of 60');
  must(view, await page.isDisabled('#one-of-each'), 'the filter can be set although a search ignores it');
  await page.click('#clear');
  await says(view, '#found', '60 messages');
  await page.check('#one-of-each');
  await page.selectOption('#language', 'fr');
  await says(view, '#found', '2 of 60');
  await press(view, 'j');
  await says(view, '#facts', /Kind one of 18 messages/);
  await page.uncheck('#one-of-each');
  await says(view, '#found', '20 of 60');
}

// Opening a message marks its kind; the marks are there again after the page was closed, and can be taken back.
async function seenMarks(view) {
  const { page } = view;
  await press(view, 'u');
  await says(view, '#seen-count', '1 of 6 kinds seen');
  must(view, (await page.locator('.row .fresh').count()) === 5, 'the list does not show what has not been seen');
  await press(view, 'u', 'u', 'u', 'u', 'u');
  await says(view, '#seen-count', '6 of 6 kinds seen');
  await page.goto(page.url().split('#')[0]);
  await page.waitForSelector('.row');
  await says(view, '#seen-count', '6 of 6 kinds seen');
  await says(view, '#kinds', /6 of 6 kinds seen\..*kept in this browser/);
  await press(view, 'j');
  must(view, await page.isChecked('#seen'), 'the box of a kind that was seen is empty');
  await press(view, 's');
  await says(view, '#seen-count', '5 of 6 kinds seen');
  await page.check('#seen');
  await says(view, '#seen-count', '6 of 6 kinds seen');
  await page.uncheck('#seen');
  await page.reload();
  await page.waitForSelector('.row');
  // The same message is open again, which marks it.
  await says(view, '#seen-count', '6 of 6 kinds seen');
  const kept = await page.evaluate(() => Object.entries(localStorage));
  const isSound = kept.length === 1 && /^access-invite seen [0-9a-f-]{67},\["[0-9a-f]{16}",.*\]$/.test(kept[0].join());
  must(view, isSound, `the storage holds ${kept}`);
}

// A message to somebody who was mailed before is counted apart, found by a filter, and says when.
async function again(view) {
  await says(view, '.tiles', /^5 messages 4 for the first time 1 tried before 1 not mailed 3 warnings$/i);
  await view.page.click('.tile:has-text("tried before")');
  await says(view, '#found', '1 of 5');
  await view.page.click('.row');
  await says(view, '#facts', /Mailed before \d+ \w+ \d{4}, \d\d:\d\d: accepted · 1 attempt · Message-ID <[0-9a-f]+@contoso\.example> So far pending \d+ \w+ \d{4}, \d\d:\d\d$/);
  await view.page.selectOption('#tried', 'first');
  await says(view, '#found', '4 of 5');
}

// What is on paper: the lists and one mail of each kind, in light colours, without controls.
async function print(view) {
  const { page } = view;
  await page.evaluate(() => {
    window.print = () => Object.assign(window, { printed: true });
  });
  await page.click('#to-print');
  await page.waitForFunction(() => window.printed, null, { timeout: 30_000 });
  await page.emulateMedia({ media: 'print' });
  const paper = await page.evaluate(() => {
    const shown = [...document.querySelectorAll('button, input, select')].filter((it) => it.getClientRects().length > 0);
    const mails = [...document.querySelectorAll('#print .sheet iframe')].map((it) => it.getBoundingClientRect());
    const [messages, skipped] = document.querySelectorAll('#print table');
    return {
      controls: shown.length,
      kinds: kinds.size,
      mails: mails.map((it) => [Math.round(it.width), Math.round(it.height)]),
      rows: [messages, skipped].map((it) => it.tBodies[0].rows.length),
      text: document.getElementById('print').innerText,
      ground: getComputedStyle(document.body).backgroundColor,
      ink: getComputedStyle(document.body).color,
    };
  });
  must(view, paper.controls === 0, `${paper.controls} controls are printed`);
  must(view, paper.mails.length === paper.kinds && paper.kinds > 0, `${paper.mails.length} mails of ${paper.kinds} kinds`);
  const fits = ([width, height]) => width > 200 && width <= 640 && height > 300 && height <= 800;
  must(view, paper.mails.every(fits), `the mails have the sizes ${paper.mails.join(' ')}`);
  must(view, paper.rows.join() === '4,2', `the lists have ${paper.rows} rows`);
  must(view, paper.ink === 'rgb(28, 40, 38)', `the ink is ${paper.ink} on ${paper.ground}`);
  for (const part of [/Gone\s+gone@g\.example/, /accepted already \(.*Message-ID </, /Digest of the inputs: /, /Preheader/]) {
    must(view, part.test(paper.text), `${part} is not printed`);
  }
  await view.shoot(`gallery-${view.name}`);
  const pdf = await page.pdf({ format: 'A4' });
  const pages = pdf.toString('latin1').match(/\/Type \/Page\b(?!s)/g).length;
  must(view, pages === 1 + paper.kinds, `${pages} pages for the lists and ${paper.kinds} kinds`);
  await page.evaluate(() => window.dispatchEvent(new Event('afterprint')));
  must(view, (await page.innerHTML('#print')) === '', 'what was printed stays in the page');
}

// The browser's own menu cannot wait for mails; the key can.
async function printFromMenu(view) {
  const { page } = view;
  await page.evaluate(() => {
    window.print = () => Object.assign(window, { printed: true });
    window.dispatchEvent(new Event('beforeprint'));
  });
  const said = await page.evaluate(() => document.getElementById('print').textContent);
  must(view, /use the button “Print”/.test(said), 'it does not say that mails are missing');
  must(view, (await page.locator('#print tbody tr').count()) === 60, 'the list is not printed');
  await page.evaluate(() => window.dispatchEvent(new Event('afterprint')));
  await page.keyboard.press('Control+p');
  await page.waitForFunction(() => window.printed, null, { timeout: 30_000 });
  must(view, (await page.locator('#print .sheet').count()) === 6, 'not every kind is printed');
}

async function since(view) {
  const { page } = view;
  await says(view, '.tiles', /^4 messages 2 not mailed 3 warnings 1 added 1 changed$/i);
  await view.shoot('gallery-since', {});
  await view.mustBeAccessible();
  await page.selectOption('#mark', 'added');
  await says(view, '#found', '1 of 4');
  await says(view, '.row', /new@n\.example/);
  await page.selectOption('#mark', 'changed');
  await says(view, '.row', /^Ada Lovelace.* changed/);
  await page.click('#clear');
  await page.fill('#search', 'gone@g.example');
  await says(view, '#nothing', /Search the 2 not mailed/);
  await page.click('#nothing button');
  await says(view, '#found', '1 of 2');
  await page.click('.row');
  await says(view, '#subject', 'Gone is not mailed');
  await says(view, '.why', 'accepted already');
  await says(view, '#facts', /Mailed \d+ \w+ \d{4}, \d\d:\d\d: accepted · 1 attempt · Message-ID <[0-9a-f]+@contoso\.example> So far invited \d+ \w+ \d{4}, \d\d:\d\d$/);
  await view.mustBeAccessible();
  await press(view, 'Escape', 'o');
  await page.click('#overview button:has-text("accepted already")');
  await says(view, '#found', '1 of 2');
  await says(view, '#list', /Gone/);
  await press(view, 'o');
  await says(
    view,
    '#command',
    /^grep -qx 'digest [0-9a-f-]{67}' \/.*\/second\/approval\.txt && cp \/.*\/second\/approval\.txt \/.*\/approved\.txt$/,
  );
}

// Every value of a list and of a configuration that would like to be more than text.
async function hostile(view) {
  const { page } = view;
  const expected = JSON.parse(readFileSync(join(folder, 'hostile.json'), 'utf8'));
  const markup = () =>
    page.evaluate(() =>
      [
        document.querySelectorAll('img, object, embed, link:not([href="review.css"]), base, form[action]').length,
        [...document.scripts].filter((it) => !['kinds.js', 'print.js', 'review.js'].includes(it.getAttribute('src')))
          .length,
        document.querySelectorAll('iframe').length,
        Object.keys(window).filter((it) => it.startsWith('pwned')).length,
      ].join(' '),
    );
  must(view, (await markup()) === '0 0 0 0', `the overview has become ${await markup()}`);
  must(
    view,
    (await page.locator('#overview').innerText()).includes(expected.package),
    'the package’s name is not shown as it is',
  );
  await view.mustNotOverflow();
  for (const [index, name] of expected.names.entries()) {
    await press(view, 'j');
    await says(view, '#position', new RegExp(`^${index + 1} of ${expected.names.length} `));
    const shown = await recipient(view).locator('bdi').first().textContent();
    must(view, shown === name, `the name ${name} is shown as ${shown}`);
    for (const key of ['2', '3', '4', '1']) await press(view, key);
    must(view, (await markup()) === '0 0 1 0', `the page of ${name} has become ${await markup()}`);
    const inside = await mail(view).evaluate(() => [
      document.querySelectorAll('script, img, iframe').length,
      document.querySelector('a.button').href,
      document.body.innerText,
    ]);
    must(view, inside[0] === 0, `the mail of ${name} has ${inside[0]} elements that it must not have`);
    await view.mustNotOverflow();
    // A name that runs the other way must not turn what stands around it.
    const order = await recipient(view).evaluate((it) => {
      const [who, where] = ['bdi', '.address'].map((part) => it.querySelector(part).getClientRects()[0]);
      return where.top > who.top + 4 || where.left > who.left;
    });
    must(view, order, `the address of ${name} does not stand behind it`);
  }
  await view.mustBeAccessible();
  await page.selectOption('#package', '__proto__');
  await says(view, '#found', `1 of ${expected.names.length}`);
}

async function empty(view) {
  await says(view, '#nothing', 'No message is due.');
  await view.shoot('gallery-empty', {});
  await view.mustBeAccessible();
  await press(view, 'j', 'k', 'G', 'n');
  must(view, await view.page.isVisible('#overview'), 'a key leads into nothing');
}

async function sandbox(view) {
  await says(view, '.lead', 'What the sandbox received');
  await press(view, 'j');
  await says(view, '#position', /^1 of 26/);
}

async function plain(view) {
  await says(view, 'h1', 'Preview of invitations');
  await view.mustBeAccessible();
  must(
    view,
    (await view.page.locator('a[href$=".html"]').count()) === 26,
    'the plain list does not have every message',
  );
}

async function withoutScript(eye, problem) {
  const context = await eye.browser.newContext({ javaScriptEnabled: false, offline: true });
  const page = await context.newPage();
  await page.goto(`file://${join(folder, 'example/index.html')}`);
  // (Playwright's search by text does not look into `noscript`.)
  if (!(await page.innerText('noscript')).includes('This page needs JavaScript for search and paging.'))
    problem('without script', 'does not say so');
  await page.click('noscript a');
  await page.click('a[href="messages/0006.html"]');
  if (!(await page.innerText('body')).includes('Bonjour François Lefèvre'))
    problem('without script', 'a message does not open');
  await context.close();
}

// A missing file is reported, instead of a review with fewer messages.
async function torn(eye, problem) {
  const context = await eye.browser.newContext({ offline: true });
  const page = await context.newPage();
  await page.goto(`file://${join(folder, 'torn/index.html')}`);
  await page.waitForSelector('#trouble:not([hidden])');
  const said = await page.innerText('#trouble');
  if (!said.includes('data/list-0001.js is missing')) problem('torn', `says ${said}`);
  if (!existsSync(join(folder, 'torn/index.html'))) problem('torn', 'is not there');
  await context.close();
}

// A click in the mail leads nowhere, which Chromium notes on its console; and the keys go on working
// when the pointer has left the mail.
async function clicked(eye, problem) {
  const context = await eye.browser.newContext({ viewport: DESK });
  const page = await context.newPage();
  const left = [];
  context.on('page', (it) => left.push(it.url()));
  page.on('request', (it) => it.url().startsWith('file:') || left.push(it.url()));
  await page.goto(`file://${join(folder, 'example/index.html')}#m1`);
  await page.waitForSelector('#proof:not([hidden])');
  await page.frames()[1].click('a.button');
  await page.waitForTimeout(300);
  left.push(
    ...page
      .frames()
      .map((it) => it.url())
      .filter((it) => !it.startsWith('file:')),
  );
  if (left.length > 0) problem('clicked', `a click in the mail leads to ${left}`);
  await page.mouse.move(5, 5);
  await page.keyboard.press('j');
  await page.waitForTimeout(300);
  if (!(await page.innerText('#position')).startsWith('2 of 26')) problem('clicked', 'the keys are lost in the mail');
  await context.close();
}

// A browser that refuses storage shows everything, and says that marks are lost.
async function withoutStorage(eye, problem) {
  const context = await eye.browser.newContext({ viewport: DESK });
  await context.addInitScript(() => {
    Object.defineProperty(window, 'localStorage', {
      get() {
        throw new DOMException('refused', 'SecurityError');
      },
    });
  });
  const page = await context.newPage();
  page.on('pageerror', (it) => problem('without storage', it.message));
  await page.goto(`file://${join(folder, 'kinds/index.html')}`);
  await page.waitForSelector('.row');
  await page.keyboard.press('j');
  await page.waitForFunction(() => document.getElementById('seen-count').textContent.startsWith('1 of 6'));
  const said = await page.textContent('#seen-count');
  if (!said.includes('does not keep')) problem('without storage', `says ${said}`);
  await context.close();
}
