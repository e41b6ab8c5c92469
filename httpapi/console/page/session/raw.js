// A session as the API has it.

import { el } from "../shell/dom.js";
import { copyButton, safeText } from "../shell/text.js";

/** @param {object} session */
export function raw(session) {
  const text = JSON.stringify(session, null, 2);
  const pre = el("pre", { tabindex: "0", "aria-label": "JSON of the session" });
  const node = el("details", { class: "raw" }, el("summary", null, el("h3", null, "JSON")), el("div", { class: "with-copy" }, copyButton(() => text, "Copy the JSON"), pre));
  node.addEventListener("toggle", () => {
    if (node.open && !pre.hasChildNodes()) pre.append(...lines(text));
  });
  return node;
}

/** Line by line: each is isolated, so that none can turn another one around. */
function lines(text) {
  return text.split("\n").flatMap((line) => {
    const [, indent, rest] = /^( *)(.*)$/.exec(line);
    return [indent, safeText(rest, { max: 2000 }), "\n"];
  });
}
