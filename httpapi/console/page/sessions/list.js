// The list of what was found: newest first, a page of 100 at a time, as far as one scrolls.

import { call } from "../shell/api.js";
import { el, fill, icon } from "../shell/dom.js";
import { count, mayAll } from "../shell/me.js";
import { failure } from "../shell/notice.js";
import { announce } from "../shell/text.js";
import { toQueries } from "./predicates.js";
import { columns, row, rowBones } from "./row.js";

const pageSize = 100;

/**
 * @typedef {{total: number|null, timestamp: string|null, explain: object|null, error: Error|null}} Found
 * @param {(found: Found) => void} told of the first page of each search, and of its failure
 * @param {(id: string|null, predicates: import("./predicates.js").Predicate[]) => string} toHref
 */
export function sessionList(told, toHref) {
  let search = { predicates: [], explain: false };
  let running = null;
  let cursor = "";
  let rows = [];
  const sessions = new Map();

  const groups = el("div", { class: "groups", role: "presentation" });
  const end = el("div", { class: "end" });
  const table = el("div", { class: "stable", role: "table", "aria-label": "Sessions" },
    el("div", { role: "rowgroup", class: "shead" }, el("div", { class: "srow head", role: "row", "aria-rowindex": "1" }, columns.map((name, i) =>
      el("div", { class: `cell ${["who", "factors", "device", "org", "created", "ends", "sid"][i]}`, role: "columnheader" }, name)))),
    groups);
  const top = el("div", { class: "top" });
  const node = el("div", { class: "slist" }, top, table, end);
  const watch = new IntersectionObserver((seen) => seen.some((s) => s.isIntersecting) && more(), { rootMargin: "1200px" });

  /** Searches anew; what was found before stays, dimmed, until the answer comes. */
  async function run(next) {
    const same = JSON.stringify(next.predicates) === JSON.stringify(search.predicates);
    search = next;
    running?.abort();
    running = new AbortController();
    const { signal } = running;
    cursor = null;
    if (rows.length === 0) bones();
    const dim = setTimeout(() => node.classList.toggle("stale", rows.length > 0), 250);
    table.setAttribute("aria-busy", "true");
    const first = await page("", signal);
    clearTimeout(dim);
    if (!first) return;
    table.removeAttribute("aria-busy");
    if (first.error) return refused(first.error, same && [0, 503].includes(first.error.status), signal);
    node.classList.remove("stale");
    clear();
    const total = Number(first.details.totalResult);
    table.hidden = total === 0;
    table.setAttribute("aria-rowcount", total + 1);
    add(first);
    announce(count(total, "session"));
    told({ total, timestamp: first.details.timestamp, explain: first.explain ?? null, error: null });
  }

  /** Gives up a search under way, and forgets what was found: it is not what is asked for now. */
  function stop() {
    running?.abort();
    cursor = null;
    clear();
    table.hidden = true;
    table.removeAttribute("aria-busy");
    node.classList.remove("stale");
  }

  /** @param {boolean} keep whether what is on the page is still the last that is known of this search */
  function refused(error, keep, signal) {
    const again = () => run(search);
    if (!keep) clear();
    table.hidden = rows.length === 0;
    node.classList.toggle("stale", rows.length > 0);
    fill(end);
    fill(top, failure(error, { again, signal, advice: { 429: "Add a predicate that fewer sessions match. Explain shows what the search would have cost." } }));
    told({ total: null, timestamp: null, explain: error.body?.explain ?? null, error });
  }

  async function more() {
    if (!cursor) return;
    const from = cursor;
    cursor = null;
    const next = await page(from, running.signal);
    if (!next) return;
    if (next.error) {
      fill(end, failure(next.error, { again: retry, signal: running.signal }));
      return;
    }
    add(next);
    function retry() {
      cursor ??= from;
      bones();
      more();
    }
  }

  /** @returns an answer of the API; {error}; or null if another search has begun */
  async function page(from, signal) {
    const body = { query: { limit: pageSize, cursor: from }, queries: toQueries(search.predicates), sortingColumn: "SESSION_FIELD_NAME_CREATION_DATE" };
    if (search.explain && from === "") body.explain = true;
    try {
      const answer = await call("POST", "search", body, { signal });
      return signal.aborted ? null : answer;
    } catch (error) {
      return signal.aborted ? null : { error };
    }
  }

  function add(answer) {
    const made = answer.sessions.map((session, i) => row(session, rows.length + i + 1, search.predicates, toHref));
    answer.sessions.forEach((session) => sessions.set(session.id, session));
    rows.push(...made);
    const group = el("div", { class: "sgroup", role: "rowgroup" }, made);
    group.style.setProperty("--rows", made.length);
    groups.append(group);
    cursor = answer.details.nextCursor ?? null;
    if (cursor) bones();
    else fill(end, rows.length ? el("p", { class: "all faint small" }, rows.length > 20 ? `All ${count(rows.length, "session")}.` : "") : nothing(search.predicates));
    watch.unobserve(end);
    if (cursor) watch.observe(end);
  }

  function clear() {
    groups.replaceChildren();
    end.replaceChildren();
    top.replaceChildren();
    rows = [];
    sessions.clear();
  }

  function bones() {
    table.hidden = false;
    fill(end, Array.from({ length: rows.length ? 3 : 12 }, (_, i) => rowBones(55 + ((i * 17) % 35))));
  }

  /** Shows that a session has ended. @returns {boolean} whether that was not shown yet */
  function drop(id) {
    const at = rows.findIndex((r) => r.dataset.id === id);
    if (at < 0 || rows[at].classList.contains("gone")) return false;
    rows[at].classList.add("gone");
    return true;
  }

  return { node, run, stop, drop, rows: () => rows, session: (id) => sessions.get(id), loadMore: more };
}

function nothing(predicates) {
  return el("div", { class: "empty" }, icon("search"), el("p", { class: "title" }, predicates.length ? "No session matches all of this" : "There are no sessions"),
    el("p", null, predicates.length ? "It may have ended, or a value is mistyped: IDs must match whole." : "None that this key may see lives now."),
    mayAll("read") ? null : el("p", null, "This key does not see all sessions: see the menu at its name."));
}
