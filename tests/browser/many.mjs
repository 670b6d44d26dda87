// Ten thousand messages: how long they take to open, and whether they stay quick.

import { join } from 'node:path';
import { look } from './harness.mjs';

const folder = process.argv[2];
const within = join(folder, 'many');

await look(async (eye) => {
  await eye.open(join(within, 'index.html'), { name: 'many', width: 1280, height: 800, within }, async (view) => {
    const { page } = view;
    // Since the address was given, until the overview and the first rows can be seen.
    const open = await page.evaluate(
      () =>
        new Promise((resolve) => {
          const there = () => document.querySelector('.row') && document.querySelector('.lead');
          const look = () =>
            there() ? requestAnimationFrame(() => resolve(performance.now())) : requestAnimationFrame(look);
          look();
        }),
    );
    console.error(`10,000 messages: open after ${Math.round(open)} ms`);
    if (open > 2000) view.problem(`opens after ${open} ms`);
    await view.shoot('gallery-many', {});

    // Both languages are one kind each.
    await page.waitForFunction(() => document.getElementById('found').textContent === '2 of 10,000');
    await page.uncheck('#one-of-each');
    const timed = async (what, limit, work) => {
      const began = Date.now();
      await work();
      const took = Date.now() - began;
      console.error(`${what}: ${took} ms`);
      if (took > limit) view.problem(`${what} takes ${took} ms`);
    };
    const found = (text) => page.waitForFunction((it) => document.getElementById('found').textContent === it, text);
    const at = (text) =>
      page.waitForFunction((it) => document.getElementById('position').textContent.startsWith(it), text);
    await timed('search', 500, async () => {
      await page.fill('#search', 'person.7777@');
      await found('1 of 10,000');
    });
    await page.fill('#search', '');
    await timed('filter', 500, async () => {
      await page.selectOption('#language', 'fr');
      await found('5,000 of 10,000');
    });
    await page.selectOption('#language', '');
    await timed('the last one', 700, async () => {
      await page.keyboard.press('Escape');
      await page.focus('#list');
      await page.keyboard.press('G');
      await at('10,000 of 10,000');
      await page.waitForSelector('#proof:not([hidden])');
    });
    await timed('ten pages back', 3000, async () => {
      for (let step = 1; step <= 10; step += 1) {
        await page.keyboard.press('k');
        await at(`${(10_000 - step).toLocaleString('en')} of 10,000`);
        await page.waitForSelector('#proof:not([hidden])');
        await page
          .frames()[1]
          ?.waitForLoadState('load')
          .catch(() => {});
      }
    });
    const rows = await page.locator('.row').count();
    if (rows > 60) view.problem(`${rows} rows are in the page at once`);
    await view.mustBeAccessible();
  });
});
