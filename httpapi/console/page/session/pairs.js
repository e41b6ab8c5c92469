// Names and values: headers, metadata. The first are shown, the others on demand.

import { el, fill } from "../shell/dom.js";
import { longText } from "../shell/text.js";

const first = 12;

/**
 * @param {string} noun such as "headers"
 * @param {[string, Node][]} entries
 */
export function pairs(noun, entries) {
  const list = el("dl", { class: "facts pairs" });
  const node = el("div", null, list);
  draw(entries.slice(0, first));
  if (entries.length > first) {
    const more = el("button", { type: "button", class: "link small", onclick: all }, `Show all ${entries.length} ${noun}`);
    node.append(more);
  }
  return node;

  function draw(some) {
    fill(list, some.map(([name, value]) => [el("dt", { class: "mono" }, longText(name, { max: 60 })), el("dd", null, value)]));
  }

  function all(event) {
    draw(entries);
    event.target.remove();
  }
}
