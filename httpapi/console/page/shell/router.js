// Hash routes: what is searched for stays in the browser, and a link can be sent to a colleague.
//
// A view is made once, when it is first shown, and stays on the page (hidden) while another one is shown: so it
// comes back as it was, with its place.

import { el } from "./dom.js";

/**
 * @typedef {{view: string, id: string|null, params: URLSearchParams, hash: string}} Route
 * @typedef {object} View
 * @property {HTMLElement} node
 * @property {(route: Route) => void} show called at each route of the view, also when it is shown again
 * @property {() => void} [hide] called when another view is shown
 */

const views = new Map();
let makers = {};
let outlet = null;
let current = null;
let routed = null;
let onShown = () => {};

/** @returns {Route} */
export function parse(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  const [view, ...rest] = path.split("/");
  return { view: Object.hasOwn(makers, view) ? view : "live", id: rest.length ? decode(rest.join("/")) : null, params: new URLSearchParams(query), hash };
}

/** The hash of a route: href("sessions", "ID", params). */
export function href(view, id, params) {
  const query = params?.toString();
  return `#/${view}${id ? `/${encodeURIComponent(id)}` : ""}${query ? `?${query}` : ""}`;
}

/** Goes to a hash; with `replace`, "back" passes over where one was. */
export function go(hash, options = {}) {
  if (options.replace) history.replaceState(null, "", hash);
  else location.hash = hash;
  route();
}

/** The view that is shown: "sessions", "verify", "live". */
export function shownView() {
  return current?.name ?? null;
}

/** Where a view was last: another view's link to it comes back there, its own begins anew. @param {string} name */
export function lastHash(name) {
  return (name !== shownView() && views.get(name)?.hash) || `#/${name}`;
}

/** The title of the browser's tab. */
export function setTitle(text) {
  document.title = text ? `${text} · Cloakroom` : "Cloakroom";
}

/**
 * Shows the route in the URL, and each one after it, in node.
 * @param {HTMLElement} node
 * @param {Record<string, () => View>} of
 * @param {(name: string) => void} shown
 */
export function start(node, of, shown) {
  views.clear();
  current = routed = null;
  [outlet, makers, onShown] = [node, of, shown];
  history.scrollRestoration = "manual";
  route();
}

/** Forgets all views, for the next one who signs in. */
export function stop() {
  current?.view.hide?.();
  views.clear();
  outlet?.replaceChildren();
  outlet = current = null;
}

function route() {
  if (!outlet || location.hash === routed) return;
  routed = location.hash;
  const to = parse(location.hash);
  const before = current;
  if (before && before.name !== to.view) {
    before.y = scrollY;
    before.view.hide?.();
    before.view.node.hidden = true;
  }
  if (!views.has(to.view)) {
    const view = makers[to.view]();
    views.set(to.view, { name: to.view, view, y: 0, hash: to.hash });
    outlet.append(view.node);
  }
  current = views.get(to.view);
  current.view.node.hidden = false;
  current.hash = to.hash;
  onShown(to.view);
  current.view.show(to);
  if (before === current) return;
  scrollTo(0, current.y);
  if (before) outlet.focus({ preventScroll: true });
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

addEventListener("hashchange", route);
