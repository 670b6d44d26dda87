// The report as its reader uses it: opened from disk, searched, filtered, printed, on a phone and on a desktop, in
// light and dark, without a script, with hostile values in it.
//
// The Rust test has made `report.html` (200 partners), `hostile.html` and `empty.html`; `hostile.json` says what the
// hostile one must show.

import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { look } from './harness.mjs';

const folder = process.argv[2];
const PHONE = { width: 360, height: 760 };
const DESK = { width: 1280, height: 800 };
const REPORT = join(folder, 'report.html');

await look(async (eye, problem) => {
  for (const scheme of ['light', 'dark']) {
    for (const [size, name] of [
      [DESK, 'desk'],
      [PHONE, 'phone'],
    ]) {
      await eye.open(REPORT, { name: `report-${name}-${scheme}`, ...size, scheme }, glance);
    }
  }
  await eye.open(REPORT, { name: 'report-find', ...DESK }, find);
  await eye.open(REPORT, { name: 'report-mails', ...DESK }, mails);
  await eye.open(REPORT, { name: 'report-print', ...DESK, scheme: 'dark' }, print);
  await eye.open(join(folder, 'hostile.html'), { name: 'report-hostile', ...DESK }, hostile);
  await eye.open(join(folder, 'empty.html'), { name: 'report-empty', ...DESK }, empty);
  await withoutScript(eye, problem);
  await clicked(eye, problem);
});

function must(view, holds, what) {
  if (!holds) view.problem(what);
}

async function says(view, selector, expected) {
  let found;
  for (let tries = 0; tries < 40; tries += 1) {
    found = (await view.page.locator(selector).first().innerText()).replace(/\s+/g, ' ').trim();
    if (expected instanceof RegExp ? expected.test(found) : found === expected) return;
    await view.page.waitForTimeout(50);
  }
  view.problem(`${selector} says “${found}”, not “${expected}”`);
}

// The whole page, and its parts as pictures.
async function glance(view) {
  await says(view, '.lead', /^\d+ of 200 invitations have reached the relay/);
  await view.mustNotOverflow();
  await view.mustBeAccessible();
  await view.shoot(`${view.name}-1-top`, {});
  for (const part of ['groups', 'partners', 'runs', 'messages']) {
    await view.page.evaluate((it) => document.getElementById(it).scrollIntoView(), part);
    await view.page.waitForTimeout(250);
    await view.shoot(`${view.name}-${part}`, {});
    await view.mustNotOverflow();
  }
  await view.mustBeAccessible();
}

async function find(view) {
  const { page } = view;
  const seen = () => page.locator('.partners tbody tr:visible').count();
  await says(view, '#found', '200 invitations');
  await page.fill('#search', 'francois lefevre');
  await says(view, '#found', /^1[67] of 200$/);
  await page.fill('#search', 'p37@');
  await says(view, '#found', '1 of 200');
  must(view, (await seen()) === 1, 'more rows are seen than were found');
  await page.fill('#search', 'nobody at all');
  await says(view, '#nothing', 'No partner matches.');
  await view.mustBeAccessible();
  await page.click('#filters button');
  await says(view, '#found', '200 invitations');
  await page.selectOption('select[name="state"]', 'bounced');
  await says(view, '#found', '5 of 200');
  await page.selectOption('select[name="state"]', '');
  await page.selectOption('select[name="package"]', 'plans');
  await page.selectOption('select[name="locale"]', 'fr');
  await says(view, '#found', /^3\d of 200$/);
  await page.selectOption('select[name="access"]', 'granted');
  await says(view, '#found', /^\d of 200$/);
  await page.click('#filters button');
  await page.click('a.tile[data-state="rejected"]');
  await says(view, '#found', /^\d of 200$/);
  await says(view, '.partners tbody tr:visible .road', /rejected 550 5\.1\.1/);
  await page.focus('#search');
  await page.keyboard.press('Enter');
  must(view, page.url().startsWith('file:') && !page.url().includes('?'), `Enter leads to ${page.url()}`);
}

// Each text with its mail in a frame: at full height, and no link leads anywhere.
async function mails(view) {
  const { page } = view;
  await page.evaluate(() => document.getElementById('messages').scrollIntoView());
  await page.waitForTimeout(300);
  const frames = page.frames().slice(1);
  must(view, frames.length >= 12, `only ${frames.length} mails`);
  const cut = await page.evaluate(() => {
    const frame = document.querySelector('#messages iframe');
    return frame.contentDocument.documentElement.scrollHeight - frame.clientHeight;
  });
  must(view, cut <= 1, `a mail is cut by ${cut} px`);
  const told = await page.locator('.message').first().innerText();
  must(view, /byte for byte/.test(told), `a message says ${told.slice(0, 200)}`);
}

// On paper: light, all open, one table of partners whose head stands on each page, no row cut in two.
async function print(view) {
  const { page } = view;
  const kept = process.env.ACCESS_INVITE_SCREENSHOTS;
  if (kept) mkdirSync(kept, { recursive: true });
  await page.emulateMedia({ colorScheme: 'light' });
  const pdf = await page.pdf({ preferCSSPageSize: true, path: kept && join(kept, 'report.pdf') });
  if (kept) copyFileSync(REPORT, join(kept, 'report.html'));
  const pages = pdf.toString('latin1').match(/\/Type \/Page\b/g)?.length ?? 0;
  console.error(`the report of 200 partners has ${pages} pages`);
  must(view, pages > 10 && pages < 120, `${pages} pages`);
  await page.emulateMedia({ media: 'print', colorScheme: 'dark' });
  const found = await page.evaluate(() => {
    const style = (selector) => getComputedStyle(document.querySelector(selector));
    return {
      table: style('.partners').display,
      chunk: style('.chunk').display,
      heads: [...document.querySelectorAll('.partners thead')].map((it) => getComputedStyle(it).display).join(' '),
      row: style('.partners tbody tr').breakInside,
      filters: style('#filters').display,
      ground: style('body').backgroundColor,
      numbers: document.querySelector('.numbers').open,
    };
  });
  const expected = {
    table: 'table',
    chunk: 'contents',
    heads: 'table-header-group none none none',
    row: 'avoid',
    filters: 'none',
    ground: 'rgba(0, 0, 0, 0)',
    numbers: true,
  };
  // Each mail is whole, on a sheet of its own or below its text.
  const cut = await page.evaluate(() => {
    dispatchEvent(new Event('beforeprint'));
    return [...document.querySelectorAll('iframe')].map((it) => {
      const { height } = it.getBoundingClientRect();
      return [it.contentDocument.body.scrollHeight - it.clientHeight, Math.round(height)];
    });
  });
  must(view, cut.every(([rest, height]) => rest <= 1 && height > 300 && height <= 901), `on paper, mails are cut by and as high as ${cut.join(' ')} px`);
  for (const [name, value] of Object.entries(expected)) {
    must(view, found[name] === value, `on paper, ${name} is ${found[name]}, not ${value}`);
  }
}

async function hostile(view) {
  const { page } = view;
  const { names } = JSON.parse(readFileSync(join(folder, 'hostile.json'), 'utf8'));
  const shown = await page.locator('.who').allTextContents();
  for (const name of names) {
    must(view, shown.some((it) => it === name), `${name} is not shown as it is`);
  }
  const run = await page.evaluate(() => Object.keys(window).filter((it) => it.startsWith('pwned')));
  must(view, run.length === 0, `${run} ran`);
  const found = await page.evaluate(() => document.querySelectorAll('img, object, embed, link, base, svg[onload]').length);
  must(view, found === 0, `${found} elements come from the list`);
  await view.mustNotOverflow();
  await view.mustBeAccessible();
  await page.fill('#search', '{{ 7*7 }}');
  await says(view, '#found', /^1 of/);
  await view.shoot(view.name, {});
}

async function empty(view) {
  await says(view, '.lead', 'No partner has been invited yet.');
  must(view, !(await view.page.isVisible('#filters')), 'there is nothing to filter');
  await view.mustBeAccessible();
}

// Everything is there, and nothing is offered that would need the script.
async function withoutScript(eye, problem) {
  const context = await eye.browser.newContext({ viewport: DESK, javaScriptEnabled: false, offline: true });
  const page = await context.newPage();
  await page.goto(pathToFileURL(REPORT).href);
  eye.report.looked += 1;
  const rows = await page.locator('.partners tbody tr').count();
  if (rows !== 200) problem('no script', `${rows} rows`);
  for (const [selector, seen] of [['#filters', false], ['.road', true], ['.plot svg', true], ['.letter', true]]) {
    const found = await page.locator(selector).first().isVisible();
    if (found !== seen) problem('no script', `${selector} is ${found ? '' : 'not '}to be seen`);
  }
  await context.close();
}

// A click in a mail leads nowhere, which Chromium notes on its console.
async function clicked(eye, problem) {
  const context = await eye.browser.newContext({ viewport: DESK, offline: true });
  const page = await context.newPage();
  const requested = [];
  page.on('request', (it) => requested.push(it.url()));
  page.on('popup', (it) => requested.push(it.url()));
  await page.goto(pathToFileURL(REPORT).href);
  eye.report.looked += 1;
  await page.evaluate(() => document.getElementById('messages').scrollIntoView());
  const mail = page.frameLocator('#messages iframe >> nth=0');
  await mail.locator('a').first().click();
  await page.waitForTimeout(300);
  const others = requested.filter((it) => !it.startsWith('file:') && it !== 'about:srcdoc');
  if (others.length > 0) problem('a click in a mail', `requests ${others}`);
  if ((await mail.locator('a').count()) === 0) problem('a click in a mail', 'replaces it');
  await context.close();
}
