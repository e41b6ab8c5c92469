// The theme: the system's, until one is chosen; the choice is remembered.

const dark = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set();

/** @returns {"light"|"dark"} the theme that is shown */
export function theme() {
  return document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light");
}

/** Shows the other theme, and remembers it unless it is the system's. */
export function switchTheme() {
  const next = theme() === "dark" ? "light" : "dark";
  const system = dark.matches ? "dark" : "light";
  if (next === system) delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  try {
    if (next === system) localStorage.removeItem("console.theme");
    else localStorage.setItem("console.theme", next);
  } catch {
    // Without storage the choice lasts as long as the page.
  }
  tell();
}

/** Calls listener(theme) whenever another theme is shown. @returns {() => void} ends that */
export function onTheme(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/**
 * The value of a colour token as "rgb(…)", for a canvas: tokens are light-dark(), which a canvas cannot draw.
 * @param {string} token such as "--accent"
 */
export function colour(token) {
  const probe = document.createElement("i");
  probe.style.setProperty("color", `var(${token})`);
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

function tell() {
  for (const listener of listeners) listener(theme());
}

dark.addEventListener("change", tell);
