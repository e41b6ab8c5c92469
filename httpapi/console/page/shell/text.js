// Texts that strangers chose: names, devices, metadata. They cannot turn the page around, nor hide anything.

import { el, icon } from "./dom.js";

// Controls, formats (bidi, zero width, tags), separators, spaces that only look like one, fillers that look like none,
// halves of characters, and heaps of combining marks.
const unseen = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufe00-\ufe0f]|(?! )\p{Zs}|^ | $|(?<=\p{M}{3})\p{M}/gu;

/** The text with an escape such as \u202E for each character that would not be seen or would turn it around. */
export function escaped(value) {
  return String(value).replace(unseen, escape);
}

function escape(char) {
  const code = char.codePointAt(0).toString(16).toUpperCase();
  return code.length > 4 ? `\\u{${code}}` : `\\u${code.padStart(4, "0")}`;
}

/**
 * The text in a <bdi>, with escapes that are seen as such. At most `max` characters are shown.
 * @param {unknown} value
 * @param {{max?: number, class?: string}} [options]
 */
export function safeText(value, options = {}) {
  const max = options.max ?? 400;
  const text = String(value);
  const shown = text.length > max ? text.slice(0, max) : text;
  const node = el("bdi", { class: options.class, dir: "auto" });
  let done = 0;
  for (const match of shown.matchAll(unseen)) {
    if (match.index > done) node.append(shown.slice(done, match.index));
    node.append(el("span", { class: "escape" }, escape(match[0])));
    done = match.index + match[0].length;
  }
  node.append(shown.slice(done));
  if (shown !== text) node.append("…");
  return node;
}

/** The text on one line, cut where the place ends; its title has all of it, up to 1,000 characters. */
export function cutText(value, props = {}) {
  const node = safeText(value, { max: 200, class: ["cut", props.class ?? ""].join(" ").trim() });
  node.title = escaped(String(value).slice(0, 1000));
  return node;
}

/**
 * The text, wrapped; one of more than `max` characters is cut, and buttons show and copy all of it.
 * @param {string} value
 * @param {{max?: number, class?: string}} [options]
 */
export function longText(value, options = {}) {
  const max = options.max ?? 160;
  const text = String(value);
  const box = el("span", { class: ["wrap", options.class ?? ""].join(" ").trim() }, safeText(text, { max }));
  if (text.length <= max) return box;
  const more = el("button", { type: "button", class: "link small", "aria-expanded": "false", onclick: turn }, `Show all ${text.length.toLocaleString("en")} characters`);
  function turn() {
    const open = more.getAttribute("aria-expanded") === "false";
    more.setAttribute("aria-expanded", open);
    more.textContent = open ? "Show less" : `Show all ${text.length.toLocaleString("en")} characters`;
    box.firstChild.replaceWith(safeText(text, { max: open ? Infinity : max }));
  }
  box.append(" ", el("span", { class: "nowrap" }, more, " ", copyButton(() => text, "Copy all of it")));
  return box;
}

/** A small button that copies what text() returns. @param {() => string} text */
export function copyButton(text, label = "Copy") {
  const button = el("button", { type: "button", class: "button quiet little square", title: label, "aria-label": label, onclick: copy }, icon("copy"));
  async function copy() {
    const copied = await toClipboard(text());
    button.replaceChildren(icon(copied ? "tick" : "warn"));
    announce(copied ? "Copied" : "The browser does not let the page copy; select the text and copy it.");
    setTimeout(() => button.replaceChildren(icon("copy")), 1500);
  }
  return button;
}

/** Says text to who hears the page. */
export function announce(text) {
  document.getElementById("announce").textContent = text;
}

async function toClipboard(text) {
  try {
    await navigator.clipboard.writeText(text); // There is none on plain HTTP beyond localhost.
    return true;
  } catch {
    return copyBySelection(text);
  }
}

function copyBySelection(text) {
  const area = el("textarea", { class: "unseen", "aria-hidden": "true" });
  area.value = text;
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  return copied;
}
