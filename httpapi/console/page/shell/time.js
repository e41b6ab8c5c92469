// Dates: relative or absolute, as is chosen for the whole page, and kept true each second.

import { el } from "./dom.js";
import { Clock } from "./clock.js";

const second = 1000, minute = 60 * second, hour = 60 * minute, day = 24 * hour;

/** Every date on the page, and when its text changes next: only then is it written. */
const dates = new Map();
const tickers = new Set();
let absolute = false;

/**
 * A date that says how long ago it was, or how long it takes until then, and has the absolute one in its title.
 * @param {string|undefined} date RFC 3339
 * @param {{missing?: string, precise?: boolean}} [options] missing: the text without a date; precise: down to the second
 */
export function timeNode(date, options = {}) {
  const at = Date.parse(date ?? "");
  if (Number.isNaN(at)) return el("span", { class: "faint" }, options.missing ?? "–");
  const node = el("time", { datetime: date, title: `${date}\n${new Date(at).toLocaleString()} here`, class: "nowrap" });
  dates.set(node, { at, precise: options.precise, due: 0, fresh: Date.now() });
  write(node, dates.get(node), Clock.now());
  return node;
}

/** Calls tick(now) each second, until node has left the page. */
export function eachSecond(node, tick) {
  tickers.add({ node, tick, fresh: Date.now() });
  tick(Clock.now());
}

/** Whether dates are absolute. */
export function isAbsolute() {
  return absolute;
}

/** Shows all dates the other way. */
export function switchDates() {
  absolute = !absolute;
  for (const [node, entry] of dates) write(node, entry, Clock.now());
}

/** "3d 4h", "3h 12m", "4m", "12s"; precise: "3h 12m 05s". @param {number} span in milliseconds, at least 0 */
export function duration(span, precise = false) {
  const d = Math.floor(span / day), h = Math.floor(span / hour) % 24, m = Math.floor(span / minute) % 60, s = Math.floor(span / second) % 60;
  if (d > 0) return !precise && (d >= 10 || h === 0) ? `${d}d` : `${d}d ${h}h${precise ? ` ${two(m)}m` : ""}`;
  if (h > 0) return `${h}h ${two(m)}m${precise ? ` ${two(s)}s` : ""}`;
  if (m > 0) return precise ? `${m}m ${two(s)}s` : `${m}m`;
  return `${s}s`;
}

/** "3h 12m ago", "in 4m". */
export function relative(at, now, precise = false) {
  const span = Math.abs(at - now);
  if (span < second) return at <= now ? "just now" : "in a moment";
  return at <= now ? `${duration(span, precise)} ago` : `in ${duration(span, precise)}`;
}

/** "2026-12-01 13:20:41", UTC. */
export function utc(at) {
  return new Date(at).toISOString().slice(0, 19).replace("T", " ");
}

function two(n) {
  return String(n).padStart(2, "0");
}

function write(node, entry, now) {
  const text = absolute ? utc(entry.at) : relative(entry.at, now, entry.precise);
  if (node.textContent !== text) node.textContent = text;
  const step = entry.precise || Math.abs(entry.at - now) < minute ? second : Math.abs(entry.at - now) < 10 * day ? minute / 2 : hour;
  entry.due = absolute ? Infinity : now + step;
}

setInterval(() => {
  if (document.hidden) return;
  const now = Clock.now();
  for (const [node, entry] of dates) {
    if (gone(node, entry)) dates.delete(node);
    else if (now >= entry.due - 50) write(node, entry, now);
  }
  for (const ticker of tickers) {
    if (gone(ticker.node, ticker)) tickers.delete(ticker);
    else ticker.tick(now);
  }
}, second);

/** A node that was made just now may not be on the page yet. */
function gone(node, entry) {
  return !node.isConnected && Date.now() - entry.fresh > 5 * second;
}
