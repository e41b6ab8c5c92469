// Keyboard shortcuts. They do nothing while something is typed, or while a dialog or a menu is open: that has keys of its own.

/** @typedef {{keys: string, says: string, run: (event: KeyboardEvent) => void, when?: () => boolean, given?: () => boolean}} Key
 * keys: "r", "u, Escape" for two that do the same, or "g s" for one after the other; when: whether it does something now;
 * given: whether it is there at all for who is signed in */

const groups = new Map();
let first = null;
let forget = 0;

/** Adds keys below a heading of the help; those of a view say by `when` whether it is shown. @param {Key[]} keys */
export function addKeys(heading, keys) {
  groups.set(heading, keys);
}

/** @returns {[string, Key[]][]} all keys that are there for who is signed in, for the help */
export function allKeys() {
  return [...groups].map(([heading, keys]) => [heading, keys.filter((key) => key.given?.() ?? true)]);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.defaultPrevented) return;
  if (typing(event.target) || document.querySelector("dialog[open], :popover-open")) return;
  const pressed = first ? `${first} ${event.key}` : event.key;
  first = null;
  clearTimeout(forget);
  const all = [...groups.values()].flat();
  const key = all.find((k) => names(k.keys, pressed) && (k.when?.() ?? true) && (k.given?.() ?? true));
  if (key) {
    event.preventDefault();
    key.run(event);
  } else if (all.some((k) => k.keys.startsWith(`${pressed} `))) {
    first = pressed;
    forget = setTimeout(() => (first = null), 1200);
  }
});

/** "u, Escape" are two keys that do the same. */
function names(keys, pressed) {
  return keys.split(", ").includes(pressed);
}

function typing(node) {
  return node instanceof HTMLElement && (node.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(node.tagName));
}
