// The mail as a partner opens it: each page of `pages.json`, in light and dark, on a phone and on a desk;
// with a picture of each where it says `picture`.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { look } from './harness.mjs';

// A mail is shown inside its reader's page, which has these landmarks; a second `main` would be wrong there.
const LANDMARKS = ['landmark-one-main', 'region'];

const folder = process.argv[2];
const pages = JSON.parse(readFileSync(join(folder, 'pages.json'), 'utf8'));

await look(async (eye) => {
  for (const expected of pages) {
    for (const scheme of ['light', 'dark']) {
      for (const width of [320, 700]) {
        const name = `${expected.name}-${scheme}-${width}`;
        await eye.open(join(folder, expected.file), { name, width, scheme }, async (view) => {
          if (expected.picture) await view.shoot();
          await view.mustNotOverflow();
          await holdAgainst(view, expected);
          await view.mustBeAccessible({ disable: LANDMARKS });
        });
      }
    }
  }
});

async function holdAgainst(view, { language, direction, link }) {
  const found = await view.page.evaluate(() => ({
    language: document.documentElement.lang,
    direction: getComputedStyle(document.documentElement).direction,
    links: [...document.links].map((it) => ({
      target: it.getAttribute('href'),
      text: it.innerText,
      button: it.classList.contains('button'),
      direction: getComputedStyle(it).direction,
    })),
  }));
  const must = (holds, what) => holds || view.problem(what);
  must(found.language === language, `is in ${found.language}, not in ${language}`);
  must(found.direction === direction, `runs ${found.direction}, not ${direction}`);
  const leading = found.links.filter((it) => it.target === link);
  const [button, whole] = leading;
  must(leading.length === 2 && button.button, `links lead to ${found.links.map((it) => it.target)}`);
  must(whole?.text === link, `the whole link reads ${whole?.text}`);
  must(whole?.direction === 'ltr', `the whole link runs ${whole?.direction}`);
}
