// The mail as a partner opens it: each page of `pages.json`, light and dark, on a phone and on a desk, and once
// as it looks where a mail program keeps the least of it; or in the `views` that a page names alone. Pictures are
// made of those that say `picture`, and of the top of those that the README shows (`covers`).

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { look } from './harness.mjs';

// A mail is shown inside its reader's page, which has these landmarks; a second `main` would be wrong there.
const LANDMARKS = ['landmark-one-main', 'region'];
const VIEWS = [['light', 320], ['light', 700], ['dark', 320], ['dark', 700]];
const CONTRAST = 4.5; // WCAG 2.2, 1.4.3; asked of large text, too

const folder = process.argv[2];
const pages = JSON.parse(readFileSync(join(folder, 'pages.json'), 'utf8'));

await look(async (eye) => {
  const rest = pages.values();
  const lookOn = async () => {
    for (const expected of rest) await lookAt(eye, expected);
  };
  await Promise.all([lookOn(), lookOn()]);
});

async function lookAt(eye, expected) {
  const file = join(folder, expected.file);
  const [first, ...others] = (expected.views ?? VIEWS).map(([scheme, width]) => (
    { name: `${expected.name}-${scheme}-${width}`, scheme, width }
  ));
  await eye.open(file, first, async (view) => {
    await mustBeFit(view, expected);
    for (const other of others) {
      await view.turn(other);
      await mustBeFit(view, expected);
    }
  });
  for (const cover of expected.covers ?? []) {
    await eye.open(file, cover, (view) => view.shoot(cover.name, {}));
  }
  if (expected.views) return;
  const least = `${file}.least.html`;
  writeFileSync(least, leastOf(readFileSync(file, 'utf8')));
  await eye.open(least, { name: `${expected.name}-least-320`, width: 320 }, async (view) => {
    if (expected.picture) await view.shoot();
    await mustBeTheInvitation(view, expected);
  });
}

async function mustBeFit(view, expected) {
  if (expected.picture) await view.shoot();
  await mustBeTheInvitation(view, expected);
  await view.mustBeAccessible({ disable: LANDMARKS });
}

// What is left where most is dropped: no <style> (Gmail, for addresses of others), no html, head and body
// (all webmail), no <bdi>, and of what breaks long words `word-wrap` alone (Yahoo).
function leastOf(html) {
  const body = html.match(/<body([^>]*)>([^]*)<\/body>/);
  const [, attributes, content] = body ?? [, '', html];
  const kept = content
    .replace(/<!--[^]*?-->/g, '')
    .replace(/<style[^]*?<\/style>/g, '')
    .replace(/<\/?bdi>/g, '')
    .replace(/(overflow-wrap|word-break|line-break):[^;"]*;?/g, '');
  return `<!DOCTYPE html><meta charset="utf-8"><title>mail</title><body style="margin:0"><div${attributes}>${kept}</div>`;
}

async function mustBeTheInvitation(view, { language, direction, link }) {
  const must = (holds, what) => holds || view.problem(what);
  await view.mustNotOverflow();
  const found = await view.page.evaluate(measure, CONTRAST);
  must(found.language === language, `is in ${found.language}, not in ${language}`);
  must(found.direction === direction, `runs ${found.direction}, not ${direction}`);
  must(found.start < 1, `the heading begins ${found.start} px from where its line begins`);
  const leading = found.links.filter((it) => it.target === link);
  const [button, whole] = leading;
  must(leading.length === 2 && button.button, `links lead to ${found.links.map((it) => it.target).join(' and ')}`);
  for (const it of found.links) {
    must(it.shown, `the link ${it.target} is cut off or covered`);
  }
  must(whole?.text === link, `the whole link reads ${whole?.text}`);
  must(whole?.copied === link, `the whole link is copied as ${whole?.copied}`);
  must(whole?.direction === 'ltr', `the whole link runs ${whole?.direction}`);
  for (const it of found.pale) view.problem(`contrast ${it}`);
  if (found.outlook) mustBeTheSameInOutlook(must, found.outlook, button);
}

// Outlook's button is drawn in VML at a fixed size, and its dark mode may turn white words into black ones.
function mustBeTheSameInOutlook(must, { label, target, width, words, contrast }, button) {
  must(label === button?.text, `Outlook's button reads ${label}`);
  must(target === button?.target, `Outlook's button leads to ${target}`);
  must(words + 32 <= width, `the words of Outlook's button are ${words} px wide in ${width} px`);
  must(Math.min(...contrast) >= CONTRAST, `white and black have ${contrast} on Outlook's button`);
}

// Runs in the page.
function measure(least) {
  const channel = (it) => (it <= 0.04045 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4);
  const luminance = ([red, green, blue]) => 0.2126 * channel(red / 255) + 0.7152 * channel(green / 255) + 0.0722 * channel(blue / 255);
  const contrast = (one, other) => {
    const [high, low] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return Math.round(((high + 0.05) / (low + 0.05)) * 100) / 100;
  };
  const numbers = (color) => color.match(/[\d.]+/g).map(Number);
  const behind = (element) => {
    for (let it = element; it; it = it.parentElement) {
      const color = numbers(getComputedStyle(it).backgroundColor);
      if (color[3] !== 0) return color;
    }
    return [255, 255, 255];
  };
  const pale = new Set();
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !element.checkVisibility()) continue;
    const [color, background] = [numbers(getComputedStyle(element).color), behind(element)];
    const ratio = contrast(color, background);
    if (ratio < least) pale.add(`${ratio}: rgb(${color}) on rgb(${background}), ${texts.currentNode.data.trim().slice(0, 40)}`);
  }
  const boxes = (element) => {
    const range = document.createRange();
    range.selectNodeContents(element);
    return [...range.getClientRects()];
  };
  const inside = (inner, outer) => inner.left >= outer.left - 0.5 && inner.right <= outer.right + 0.5 && inner.top >= outer.top - 0.5 && inner.bottom <= outer.bottom + 0.5;
  const links = [...document.links].map((it) => {
    it.scrollIntoView({ block: 'center' });
    const holder = (it.classList.contains('button') ? it : it.closest('td') ?? document.body).getBoundingClientRect();
    const hit = boxes(it).map((box) => document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2));
    const selection = getSelection();
    selection.selectAllChildren(it);
    const copied = selection.toString();
    selection.removeAllRanges();
    return {
      target: it.getAttribute('href'),
      text: it.innerText.trim(),
      copied,
      button: it.classList.contains('button'),
      direction: getComputedStyle(it).direction,
      shown: boxes(it).every((box) => inside(box, holder)) && hit.every((element) => it.contains(element)),
    };
  });
  const spoken = document.querySelector('[role=article]') ?? document.documentElement;
  const direction = getComputedStyle(spoken).direction;
  const heading = document.querySelector('h1');
  const [line] = boxes(heading);
  const holder = heading.getBoundingClientRect();
  const start = Math.abs(direction === 'rtl' ? holder.right - line.right : line.left - holder.left);
  return { language: spoken.lang, direction, start, links, pale: [...pale], outlook: outlook() };

  function outlook() {
    const comments = document.createTreeWalker(document.body, NodeFilter.SHOW_COMMENT);
    while (comments.nextNode()) {
      const source = comments.currentNode.data.match(/^\[if mso\]>([^]*)<!\[endif\]$/)?.[1] ?? '';
      const drawn = new DOMParser().parseFromString(source, 'text/html').querySelector('v\\:roundrect');
      if (!drawn) continue;
      const fill = drawn.getAttribute('fillcolor').match(/[0-9a-f]{2}/gi).map((it) => parseInt(it, 16));
      const label = drawn.textContent.trim();
      const ruler = document.createElement('canvas').getContext('2d');
      ruler.font = `bold 16px ${getComputedStyle(document.querySelector('.button')).fontFamily}`;
      return {
        label,
        target: drawn.getAttribute('href'),
        width: Number(drawn.getAttribute('style').match(/width:(\d+)px/)[1]),
        words: Math.ceil(ruler.measureText(label).width),
        contrast: [contrast([255, 255, 255], fill), contrast([0, 0, 0], fill)],
      };
    }
    return null;
  }
}
