// The help: all keys.

import { openDialog } from "./dialog.js";
import { el, fill } from "./dom.js";
import { allKeys } from "./keys.js";

export function openHelp() {
  const dialog = openDialog("Keys", { class: "help" });
  fill(dialog.body, el("div", { class: "keylist" }, allKeys().map(([heading, keys]) =>
    el("section", null, el("h3", null, heading),
      el("dl", null, keys.map((key) => [el("dt", null, caps(key.keys)), el("dd", null, key.says)]))))));
  dialog.footer.remove();
}

function caps(keys) {
  return keys.split(/[, ]+/).flatMap((key, i) => [i ? " " : null, el("kbd", null, key === "Escape" ? "Esc" : key)]);
}
