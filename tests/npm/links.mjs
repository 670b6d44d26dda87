// What three auto-linkers make of plain texts, as webmail and chat programs do that show the text part of a mail.
// Usage: node links.mjs FILE, with a JSON array of texts; prints for each text and linker the links in their order:
// {"linker": …, "links": [{"text": …, "target": …}]}.
import { readFileSync } from "node:fs";
import Autolinker from "autolinker";
import { LinkifyIt } from "linkify-it";
import * as linkifyjs from "linkifyjs";

const linkifyIt = new LinkifyIt();
const linkers = {
  autolinker: (text) => Autolinker.parse(text, { urls: true, email: true, phone: true })
    .map((it) => ({ text: it.getMatchedText(), target: it.getAnchorHref() })),
  "linkify-it": (text) => (linkifyIt.match(text) ?? []).map((it) => ({ text: it.raw, target: it.url })),
  linkifyjs: (text) => linkifyjs.find(text).map((it) => ({ text: it.value, target: it.href })),
};
const texts = JSON.parse(readFileSync(process.argv[2]));
console.log(JSON.stringify(texts.map((text) => (
  Object.entries(linkers).map(([linker, find]) => ({ linker, links: find(text) }))
))));
