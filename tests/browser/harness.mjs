// Chromium as a reader's eye: opens a page at a width and a colour scheme, and tells what is wrong with it.
//
// A script of this folder looks at one subject. It is called with the folder that the Rust test prepared,
// calls `look`, and prints one line of JSON: how many views it opened, and each problem as a sentence.
// Nothing leaves the machine: names are not resolved, and every request beyond the page is itself a problem.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';

// The plain `chromium --headless` lays pages out 500 px wide at least; under Playwright both are true.
const BINARIES = ['/usr/bin/chromium-headless-shell', '/usr/bin/chromium'];
const ARGUMENTS = [
  '--no-sandbox', // Chromium refuses root otherwise
  '--disable-gpu',
  '--disable-quic',
  '--disable-sync',
  '--disable-background-networking',
  '--disable-component-update',
  '--no-first-run',
  '--font-render-hinting=none',
  '--host-resolver-rules=MAP * ~NOTFOUND',
];
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

// Runs `work(browser, problem)` and prints the report; `problem(where, what)` notes one.
export async function look(work) {
  const executablePath = BINARIES.find((it) => existsSync(it));
  if (!executablePath) {
    throw new Error('Chromium is missing; install the Debian package chromium-headless-shell');
  }
  const browser = await chromium.launch({ executablePath, args: ARGUMENTS });
  const report = { looked: 0, problems: [] };
  try {
    const eye = new Eye(browser, report);
    await work(eye, (where, what) => report.problems.push(`${where}: ${what}`));
  } finally {
    await browser.close();
  }
  console.log(JSON.stringify(report));
}

// Opens views, and counts them.
class Eye {
  constructor(browser, report) {
    this.browser = browser;
    this.report = report;
  }

  // Opens `file` in a view of its own, hands it to `work`, and closes it; all that the page does wrong by
  // itself is noted. `within` is a folder that the page may load files from; without it, it may load nothing.
  async open(file, { name, width, height = 900, scheme = 'light', scale = 1, within }, work) {
    const context = await this.browser.newContext({
      viewport: { width, height },
      deviceScaleFactor: scale,
      colorScheme: scheme,
      offline: true,
    });
    const page = await context.newPage();
    const view = new View(page, name, this.report);
    const problem = (what) => view.problem(what);
    const own = pathToFileURL(file).href;
    const allowed = (url) => url === own || (within && url.startsWith(`${pathToFileURL(within).href}/`));
    page.on('console', (it) => ['error', 'warning'].includes(it.type()) && problem(`console ${it.type()}: ${it.text()}`));
    page.on('pageerror', (it) => problem(`script error: ${it.message}`));
    page.on('dialog', (it) => { problem(`opens a dialog: ${it.message()}`); it.dismiss(); });
    page.on('popup', (it) => problem(`opens a window: ${it.url()}`));
    page.on('request', (it) => allowed(it.url().split(/[?#]/)[0]) || problem(`requests ${it.url()}`));
    // A frame that is given another page while it still loads aborts its request.
    const aborted = (it) => it.isNavigationRequest() && it.failure()?.errorText === 'net::ERR_ABORTED';
    page.on('requestfailed', (it) => aborted(it) || problem(`a request fails: ${it.url()}`));
    try {
      await page.goto(own);
      this.report.looked += 1;
      await work(view);
    } finally {
      await context.close();
    }
  }

  // A contact sheet of pictures that `shoot` made: all at once, each below its title.
  async makeSheet(name, pictures) {
    const folder = process.env.ACCESS_INVITE_SCREENSHOTS;
    if (!folder) return;
    const figures = pictures.map(({ file, title }) => `<figure><figcaption>${title}</figcaption><img src="${file}" alt=""></figure>`);
    const sheet = join(folder, `${name}.html`);
    writeFileSync(sheet, `<!DOCTYPE html><meta charset="utf-8"><title>${name}</title><style>
body { display: flex; flex-wrap: wrap; gap: 16px; margin: 16px; align-items: start; background: #888; font: bold 20px sans-serif }
figure { margin: 0 } img { display: block; max-width: 320px }
</style>${figures.join('')}`);
    const page = await this.browser.newPage({ viewport: { width: 6 * (320 + 16) + 16, height: 900 } });
    try {
      await page.goto(pathToFileURL(sheet).href);
      await capture(page, { path: join(folder, `${name}.png`), fullPage: true });
    } finally {
      await page.close();
    }
  }
}

// On a machine with much load, Chromium sometimes fails with "Unable to capture screenshot".
async function capture(page, options, triesLeft = 3) {
  try {
    await page.screenshot(options);
  } catch (error) {
    if (triesLeft === 0) throw error;
    await page.waitForTimeout(1000);
    await capture(page, options, triesLeft - 1);
  }
}

// One open page. What its checks find is noted under its name.
class View {
  constructor(page, name, report) {
    this.page = page;
    this.name = name;
    this.report = report;
  }

  problem(what) {
    this.report.problems.push(`${this.name}: ${what}`);
  }

  // Shows the same page in another size or scheme, which counts as another view.
  async turn({ name, width, height = 900, scheme }) {
    this.name = name;
    this.report.looked += 1;
    await this.page.setViewportSize({ width, height });
    await this.page.emulateMedia({ colorScheme: scheme });
  }

  // Nothing may be reached by scrolling sideways only.
  async mustNotOverflow() {
    const found = await this.page.evaluate(() => {
      const { scrollWidth, clientWidth } = document.documentElement;
      if (scrollWidth <= clientWidth) return null;
      const wide = [...document.body.querySelectorAll('*')].filter((it) => {
        const box = it.getBoundingClientRect();
        return box.width > 0 && (box.right > clientWidth + 0.5 || box.left < -0.5);
      });
      // The innermost ones are to blame; what holds them is only stretched.
      const innermost = wide.filter((it) => !wide.some((other) => other !== it && it.contains(other)));
      return { scrollWidth, clientWidth, blame: innermost.slice(0, 3).map((it) => it.outerHTML.slice(0, 160)) };
    });
    if (found) this.problem(`is ${found.scrollWidth} px wide in ${found.clientWidth} px: ${found.blame.join(' | ')}`);
  }

  // axe-core without violations; `disable` names rules that do not apply to the subject.
  async mustBeAccessible({ disable = [] } = {}) {
    if (!(await this.page.evaluate(() => 'axe' in window))) await this.page.evaluate(AXE);
    const violations = await this.page.evaluate(async ([values, off]) => {
      const rules = Object.fromEntries(off.map((it) => [it, { enabled: false }]));
      const result = await window.axe.run(document, {
        runOnly: { type: 'tag', values }, rules, resultTypes: ['violations'], iframes: false,
        preload: false, // it would fetch style sheets, which a page's own policy may forbid
      });
      return result.violations.map((it) => `${it.id} (${it.impact}): ${it.nodes.slice(0, 3).map((node) => `${node.target} ${node.failureSummary}`).join(' | ')}`);
    }, [RULES, disable]);
    for (const it of violations) this.problem(`axe: ${it}`);
  }

  // A picture into the folder that ACCESS_INVITE_SCREENSHOTS names, where it names one.
  async shoot(name = this.name, options = { fullPage: true }) {
    const folder = process.env.ACCESS_INVITE_SCREENSHOTS;
    if (!folder) return;
    mkdirSync(folder, { recursive: true });
    await capture(this.page, { path: join(folder, `${name}.png`), animations: 'disabled', ...options });
  }
}
