// Suggestions below the search box: what can be typed next.

import { el, fill } from "../shell/dom.js";
import { safeText } from "../shell/text.js";
import { relative, utc } from "../shell/time.js";
import { kinds, nameOf, parseTyped } from "./predicates.js";

const beginnings = [
  ["user:", "user", kinds.user.asks], ["device:", "device", kinds.device.asks], ["creator:", "creator", kinds.creator.asks], ["id:", "ID", kinds.id.asks],
  ["created > ", "created after", kinds.created.asks], ["created < ", "created before", kinds.created.asks],
  ["expires > ", "expires after", kinds.expires.asks], ["expires < ", "expires before", kinds.expires.asks],
];

/**
 * @param {HTMLInputElement} input
 * @param {(text: string, complete: boolean) => void} pick
 */
export function suggestions(input, pick) {
  const node = el("ul", { id: "suggestions", class: "suggestions", role: "listbox", "aria-label": "What may be searched for", hidden: true });
  let items = [];
  let at = -1;

  function show(typed, now) {
    items = itemsFor(typed, now);
    at = typed.trim() !== "" && items[0]?.complete ? 0 : -1;
    fill(node, items.map((item, i) => el("li", { id: `suggestion-${i}`, role: "option", "aria-selected": "false", onpointerdown: (event) => take(event, item) },
      el("span", { class: "name" }, item.name), item.value, el("span", { class: item.fault ? "fault" : "hint" }, item.says))));
    node.hidden = items.length === 0;
    mark();
  }

  function take(event, item) {
    event.preventDefault(); // The field keeps the focus.
    pick(item.text, item.complete);
  }

  function move(by) {
    if (!items.length || node.hidden) return;
    at = (at + by + items.length + (at < 0 && by < 0 ? 1 : 0)) % items.length;
    mark();
  }

  function mark() {
    input.setAttribute("aria-expanded", !node.hidden);
    [...node.children].forEach((li, i) => li.setAttribute("aria-selected", i === at));
    if (at >= 0) input.setAttribute("aria-activedescendant", `suggestion-${at}`);
    else input.removeAttribute("aria-activedescendant");
    node.children[at]?.scrollIntoView({ block: "nearest" });
  }

  function hide() {
    node.hidden = true;
    at = -1;
    mark();
  }

  return { node, show, hide, move, shown: () => !node.hidden, picked: () => !node.hidden && at >= 0, pickIt: () => pick(items[at].text, items[at].complete) };
}

function itemsFor(typed, now) {
  const text = typed.trim();
  if (text === "") return beginnings.map(([begin, name, says]) => ({ text: begin, name, says, complete: false }));
  const predicate = parseTyped(text, now);
  if (predicate) return [itemOf(predicate, text, now)];
  const begun = beginnings.filter(([begin]) => begin.startsWith(text.toLowerCase()));
  if (begun.length) return begun.map(([begin, name, says]) => ({ text: begin, name, says, complete: false }));
  return ["user", "device", "id", "creator"].map((kind) => (
    { text: `${kind}:${text}`, name: kinds[kind].label, value: safeText(text, { max: 60 }), says: kinds[kind].asks, complete: true }));
}

function itemOf(predicate, text, now) {
  const name = nameOf(predicate);
  if (predicate.fault) return { text, name, says: predicate.fault, fault: true, complete: false };
  if (!predicate.op) return { text, name, value: safeText(predicate.value, { max: 60 }), says: "Enter adds it", complete: true };
  const at = Date.parse(predicate.value);
  return { text, name, value: el("span", null, `${utc(at)} UTC`), says: relative(at, now), complete: true };
}
