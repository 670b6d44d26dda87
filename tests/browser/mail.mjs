// The mail as a partner opens it: each page of `pages.json`, light and dark, on phones and on desks, and once
// as it looks where a mail program keeps the least of it; or in the `views` that a page names alone. Pictures are
// made of the views that a page names in `pictures`, a contact sheet of all pictures of a kind in one view, and the
// top of those that the README shows (`covers`).

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { look } from './harness.mjs';

// A mail is shown inside its reader's page, which has these landmarks; a second `main` would be wrong there.
const LANDMARKS = ['landmark-one-main', 'region'];
const SCHEMES = ['light', 'dark'];
// The styles change at 560 px. axe, which takes most of the time, looks at one width on each side.
const WIDTHS = [320, 375, 600, 700];
const WIDTHS_FOR_AXE = [320, 700];
const CONTRAST = 4.5; // WCAG 2.2, 1.4.3; asked of large text, too
const TARGET = 44; // WCAG 2.2, 2.5.5: the least size of what is touched, in px

const folder = process.argv[2];
const pages = JSON.parse(readFileSync(join(folder, 'pages.json'), 'utf8'));

await look(async (eye) => {
  const rest = pages.values();
  const lookOn = async () => {
    for (const expected of rest) await lookAt(eye, expected);
  };
  await Promise.all([lookOn(), lookOn()]);
  for (const [name, pictures] of sheets()) await eye.makeSheet(name, pictures);
});

async function lookAt(eye, expected) {
  const file = join(folder, expected.file);
  const views = expected.views ?? SCHEMES.flatMap((scheme) => WIDTHS.map((width) => [scheme, width]));
  const [first, ...others] = views.map(([scheme, width]) => ({ name: nameOf(expected, scheme, width), scheme, width }));
  await eye.open(file, first, async (view) => {
    await mustBeFit(view, first, expected);
    for (const other of others) {
      await view.turn(other);
      await mustBeFit(view, other, expected);
    }
  });
  for (const cover of expected.covers ?? []) {
    await eye.open(file, cover, (view) => view.shoot(cover.name, {}));
  }
  if (expected.views) return;
  const least = `${file}.least.html`;
  writeFileSync(least, leastOf(readFileSync(file, 'utf8')));
  const view = { name: nameOf(expected, 'least', 320), scheme: 'least', width: 320 };
  await eye.open(least, { ...view, scheme: 'light' }, async (opened) => {
    await shootIfAsked(opened, view, expected);
    await mustBeTheInvitation(opened, { ...expected, scheme: 'light' });
  });
}

async function mustBeFit(view, { scheme, width }, expected) {
  await shootIfAsked(view, { scheme, width }, expected);
  await mustBeTheInvitation(view, { ...expected, scheme });
  if (WIDTHS_FOR_AXE.includes(width)) await view.mustBeAccessible({ disable: LANDMARKS });
}

function nameOf({ language, kind }, scheme, width) {
  return `mail-${language}-${kind}-${scheme}-${width}`;
}

async function shootIfAsked(view, { scheme, width }, { pictures = [] }) {
  if (pictures.some(([aScheme, aWidth]) => aScheme === scheme && aWidth === width)) await view.shoot();
}

// The pictures of each kind in each view, under the name of their sheet.
function sheets() {
  const sheets = new Map();
  for (const page of pages) {
    for (const [scheme, width] of page.pictures ?? []) {
      const name = `sheet-${page.kind}-${scheme}-${width}`;
      const picture = { file: `${nameOf(page, scheme, width)}.png`, title: page.language };
      sheets.set(name, [...(sheets.get(name) ?? []), picture]);
    }
  }
  return sheets;
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

async function mustBeTheInvitation(view, { language, direction, link, logos, scheme }) {
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
  for (const it of found.clipped) view.problem(`text is cut off: ${it}`);
  for (const it of found.covered) view.problem(`text is covered: ${it}`);
  must(!(button?.height < TARGET), `the button is ${button?.height} px high`);
  const shown = found.images.map((it) => it.source);
  must(JSON.stringify(shown) === JSON.stringify(logos ? [logos[scheme]] : []), `shows these images: ${shown.map((it) => it.slice(0, 60))}`);
  for (const it of found.images) {
    must(it.loaded && it.inside, `the image with the text "${it.text}" is missing or cut off`);
    must(it.text, 'an image has no text in its place');
  }
  if (found.outlook) mustBeTheSameInOutlook(must, found.outlook, button, logos);
}

// Outlook's button is drawn in VML at a fixed size, and its dark mode may turn white words into black ones, which the
// colour of the layout allows for. An organisation chooses its colour for white words.
function mustBeTheSameInOutlook(must, { label, target, width, words, contrast: [white, black] }, button, branded) {
  must(label === button?.text, `Outlook's button reads ${label}`);
  must(target === button?.target, `Outlook's button leads to ${target}`);
  must(words + 32 <= width, `the words of Outlook's button are ${words} px wide in ${width} px`);
  const least = branded ? white : Math.min(white, black);
  must(least >= CONTRAST, `white and black have ${white} and ${black} on Outlook's button`);
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
  const boxes = (element) => {
    const range = document.createRange();
    range.selectNodeContents(element);
    return [...range.getClientRects()];
  };
  const inside = (inner, outer) => inner.left >= outer.left - 0.5 && inner.right <= outer.right + 0.5 && inner.top >= outer.top - 0.5 && inner.bottom <= outer.bottom + 0.5;
  const besides = (inner, outer) => inner.left < outer.left - 0.5 || inner.right > outer.right + 0.5;
  // What hides its overflow hides text beyond it; text that leaves its cell runs over the next.
  const cut = (element, all) => {
    for (let it = element; it; it = it.parentElement) {
      const box = it.getBoundingClientRect();
      const { overflowX, overflowY } = getComputedStyle(it);
      const hides = it !== document.body && [overflowX, overflowY].some((value) => value !== 'visible');
      if (hides && !all.every((inner) => inside(inner, box))) return true;
      if (it.localName === 'td' && all.some((inner) => besides(inner, box))) return true;
    }
    return all.some((inner) => besides(inner, { left: 0, right: document.documentElement.clientWidth }));
  };
  // The middle half of a line: the boxes of lines may touch, their letters may not.
  const middle = ({ left, right, top, bottom }) => ({ left: left + 1, right: right - 1, top: top + (bottom - top) / 4, bottom: bottom - (bottom - top) / 4 });
  const meet = (one, other) => one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom;
  const pale = new Set();
  const clipped = [];
  const lines = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !element.checkVisibility()) continue;
    const words = texts.currentNode.data.trim().slice(0, 40);
    const all = boxes(texts.currentNode);
    if (cut(element, all)) clipped.push(words);
    lines.push(...all.map((box) => ({ words, box: middle(box) })));
    const [color, background] = [numbers(getComputedStyle(element).color), behind(element)];
    const ratio = contrast(color, background);
    if (ratio < least) pale.add(`${ratio}: rgb(${color}) on rgb(${background}), ${words}`);
  }
  const covered = lines.flatMap((one, index) => lines.slice(index + 1).filter((other) => meet(one.box, other.box)).map((other) => `${one.words} by ${other.words}`));
  const images = [...document.images].filter((it) => it.checkVisibility()).map((it) => ({
    source: it.getAttribute('src'),
    text: it.alt,
    loaded: it.complete && it.naturalWidth > 0,
    inside: !cut(it, [it.getBoundingClientRect()]),
  }));
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
      height: it.getBoundingClientRect().height,
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
  return { language: spoken.lang, direction, start, links, pale: [...pale], clipped, covered, images, outlook: outlook() };

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
