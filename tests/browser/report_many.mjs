// A report of ten thousand partners: how long it takes to open, and whether it stays quick.

import { join } from 'node:path';
import { look } from './harness.mjs';

const folder = process.argv[2];
// Machines differ; the numbers are printed, and only a page that nobody would wait for is a problem.
const LIMIT = 5000;

await look(async (eye) => {
  await eye.open(join(folder, 'report.html'), { name: 'report-many', width: 1280, height: 800 }, async (view) => {
    const { page } = view;
    const times = await page.evaluate(() => {
      const { domContentLoadedEventEnd: ready, loadEventEnd: loaded } = performance.getEntriesByType('navigation')[0];
      const paint = performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0;
      return { ready, loaded, paint };
    });
    const [paint, ready, loaded] = [times.paint, times.ready, times.loaded].map(Math.round);
    console.error(`10,000 partners: first paint after ${paint} ms, search ready after ${ready} ms, loaded after ${loaded} ms`);
    const session = await page.context().newCDPSession(page);
    await session.send('Performance.enable');
    const { metrics } = await session.send('Performance.getMetrics');
    const cpu = metrics.find((it) => it.name === 'ProcessTime').value;
    console.error(`processor time of the page so far: ${Math.round(cpu * 1000)} ms`);
    if (loaded > LIMIT) view.problem(`opens after ${loaded} ms`);
    const timed = async (what, work) => {
      const began = Date.now();
      await work();
      const took = Date.now() - began;
      console.error(`${what}: ${took} ms`);
      if (took > LIMIT) view.problem(`${what} takes ${took} ms`);
    };
    const found = (text) => page.waitForFunction((it) => document.getElementById('found').textContent === it, text);
    await timed('first search', async () => {
      await page.fill('#search', 'person.7777@');
      await found('1 of 10,000');
    });
    await timed('all again', async () => {
      await page.fill('#search', '');
      await found('10,000 invitations');
    });
    await timed('filter', async () => {
      await page.selectOption('select[name="locale"]', 'fr');
      await found('5,000 of 10,000');
    });
    await timed('the end of the page', async () => {
      await page.evaluate(() => document.getElementById('runs').scrollIntoView());
      await page.waitForTimeout(100);
    });
  });
});
