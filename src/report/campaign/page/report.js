'use strict';
// Search and filters. Without this script, the page has the same content.
{
  const $ = (id) => document.getElementById(id);
  const form = $('filters');
  const chunks = [...document.querySelectorAll('.chunk')].map((element) => ({
    element,
    rows: [...element.querySelectorAll('tbody > tr')],
  }));
  const total = chunks.reduce((sum, it) => sum + it.rows.length, 0);
  const figure = (number) => number.toLocaleString('en');
  // Letters without case and accents.
  const plain = (text) => text.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase();
  const texts = new Map();
  const textOf = (row) => {
    if (!texts.has(row)) texts.set(row, plain(row.textContent));
    return texts.get(row);
  };

  function find() {
    const words = plain($('search').value).split(/\s+/).filter(Boolean);
    const wanted = [...form.querySelectorAll('select')].filter((it) => it.value !== '');
    const matches = (row) =>
      wanted.every((it) => row.dataset[it.name] === it.value) && words.every((it) => textOf(row).includes(it));
    let found = 0;
    for (const { element, rows } of chunks) {
      let shown = 0;
      for (const row of rows) {
        const hidden = !matches(row);
        if (row.hidden !== hidden) row.hidden = hidden;
        if (!hidden) shown += 1;
      }
      element.hidden = shown === 0;
      // Until it is laid out, a table is as high as its rows usually are.
      element.style.containIntrinsicBlockSize = `auto ${shown * 6}rem`;
      found += shown;
    }
    $('nothing').hidden = found > 0 || total === 0;
    $('found').textContent = found === total ? `${figure(total)} invitations` : `${figure(found)} of ${figure(total)}`;
  }

  let waiting;
  form.addEventListener('input', () => {
    clearTimeout(waiting);
    waiting = setTimeout(find, 60);
  });
  form.addEventListener('submit', (event) => event.preventDefault());
  form.addEventListener('reset', () => setTimeout(find));
  for (const tile of document.querySelectorAll('a.tile')) {
    tile.addEventListener('click', () => {
      form.elements.state.value = tile.dataset.state;
      find();
    });
  }
  form.hidden = total === 0;
  $('found').textContent = `${figure(total)} invitations`;

  // Each mail at its full height, once it is laid out.
  const fit = (frame) => {
    const { documentElement: page, body } = frame.contentDocument;
    const height = Math.max(page.getBoundingClientRect().height, body?.scrollHeight ?? 0);
    if (height > 0) frame.style.height = `${Math.min(6000, Math.ceil(height) + 2)}px`;
  };
  const observe = (frame) => new ResizeObserver(() => fit(frame)).observe(frame.contentDocument.documentElement);
  for (const frame of document.querySelectorAll('iframe')) {
    if (frame.contentDocument?.readyState === 'complete') observe(frame);
    frame.addEventListener('load', () => observe(frame));
  }
  // On paper, everything is open, and each mail is scaled down to a sheet of A4, in CSS pixels.
  const SHEET = 900;
  addEventListener('beforeprint', () => {
    document.querySelectorAll('details').forEach((it) => (it.open = true));
    document.documentElement.classList.add('printing');
    for (const frame of document.querySelectorAll('iframe')) {
      fit(frame);
      const scale = Math.min(1, SHEET / frame.offsetHeight);
      frame.style.transform = `scale(${scale})`;
      frame.parentElement.style.height = `${Math.ceil(frame.offsetHeight * scale)}px`;
    }
  });
  addEventListener('afterprint', () => {
    document.documentElement.classList.remove('printing');
    for (const frame of document.querySelectorAll('iframe')) {
      frame.style.transform = '';
      frame.parentElement.style.height = '';
      fit(frame);
    }
  });
}
