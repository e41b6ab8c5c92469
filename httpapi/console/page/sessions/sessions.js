// The view of sessions: the search, what it found, and beside it the session that is open.

import { openRevoke } from "../revoke/revoke.js";
import { sessionPane } from "../session/pane.js";
import { el, fill, icon } from "../shell/dom.js";
import { addKeys } from "../shell/keys.js";
import { may, mayAll, me } from "../shell/me.js";
import { go, href, lastHash, setTitle, shownView } from "../shell/router.js";
import { copyButton } from "../shell/text.js";
import { isAbsolute, switchDates, utc } from "../shell/time.js";
import { showExplain } from "./explain.js";
import { sessionList } from "./list.js";
import { fromParams, nameOf, toParams, toQueries } from "./predicates.js";
import { walk } from "./walk.js";
import { searchBox } from "./searchbox.js";

let view = null; // the one that is on the page: keys are for it

/** @returns {import("../shell/router.js").View} */
export function sessionsView() {
  let searched = null; // the parameters that were searched for
  let predicates = [];
  let explain = false;
  let open = null;
  let listY = 0;
  let since = 0; // how many of those found were revoked one by one

  const box = searchBox((next) => go(toHref(open, next)));
  const found = el("p", { class: "found" });
  const revokedSince = el("span", { class: "faint" });
  const explained = el("section", { class: "explain", "aria-label": "Explanation", hidden: true });
  const list = sessionList(tell, toHref);
  const pane = sessionPane({ close: closePane, revoke: revokeOne, revokeUser, toHref: (id) => toHref(id, predicates) });
  const steps = walk(list, { isOpen: () => open !== null, open: (id) => go(toHref(id, predicates), { replace: open !== null }) });

  const explainButton = mayExplain() ? toggle("Explain", "How the search was answered (e)", turnExplain) : null;
  const datesButton = toggle("UTC dates", "Absolute or relative dates (d)", turnDates, isAbsolute());
  const revokeButton = may("delete") ? el("button", { type: "button", class: "button danger little", title: "Revoke all that match (x)", onclick: revokeMatching }, "Revoke all…") : null;
  const node = el("section", { class: "sessions", "aria-label": "Sessions" },
    el("h1", { class: "unseen" }, "Sessions"),
    el("div", { class: "left" },
      el("div", { class: "sticky" },
        box.node,
        el("div", { class: "bar" }, found, el("span", { class: "push row" }, explainButton, datesButton,
          copyButton(() => location.href, "Copy a link to this search"),
          el("button", { type: "button", class: "button quiet little square", title: "Search again (.)", "aria-label": "Search again", onclick: again }, icon("refresh")), revokeButton))),
      explained, list.node),
    pane.node);

  function show(route) {
    predicates = fromParams(route.params);
    const wanted = String(params(predicates, route.params.get("explain") === "1"));
    const leaves = open !== route.id;
    if (leaves && open === null) listY = scrollY;
    open = route.id;
    node.classList.toggle("opened", open !== null);
    if (wanted !== searched) {
      explain = route.params.get("explain") === "1";
      searched = wanted;
      box.set(predicates);
      search();
    }
    if (leaves) showPane();
    title();
  }

  function search() {
    explained.hidden = !explain;
    explainButton?.setAttribute("aria-pressed", explain);
    if (open === null || wide()) scrollTo(0, 0);
    if (faulty()) return stop();
    list.run({ predicates, explain });
  }

  function faulty() {
    return predicates.some((p) => p.fault);
  }

  /** The search has a fault, so nothing is shown that another one found, and nothing of it is revoked. */
  function stop() {
    list.stop();
    fill(found);
    explained.hidden = true;
    if (revokeButton) revokeButton.disabled = true;
  }

  function showPane() {
    steps.mark(open);
    if (open !== null) pane.show(open, list.session(open));
    else pane.clear();
    if (!wide()) scrollTo(0, open !== null ? 0 : listY);
    if (!wide() && open !== null) pane.node.focus({ preventScroll: true });
    if (open === null) steps.focusAgain();
  }

  function tell({ total, timestamp, explain: said, error }) {
    since = 0;
    fill(revokedSince);
    fill(found, error ? null : [el("b", null, total.toLocaleString("en")), total === 1 ? " session" : " sessions", revokedSince,
      el("span", { class: "faint" }, ` · newest first · as of ${utc(Date.parse(timestamp)).slice(11)} UTC`)]);
    if (revokeButton) revokeButton.disabled = !total;
    if (explain && (said || !error)) showExplain(explained, said);
    else explained.hidden = true;
    steps.mark(open);
  }

  function title() {
    const said = predicates.map((p) => `${nameOf(p)} ${p.value}`).join(", ").slice(0, 60);
    setTitle(open ? "Session" : said || "Sessions");
  }

  function params(of, explained = explain) {
    const made = toParams(of);
    if (explained) made.set("explain", "1");
    return made;
  }

  function toHref(id, of) {
    return href("sessions", id, params(of));
  }

  function again() {
    if (!faulty()) list.run({ predicates, explain });
    pane.judgeAgain();
  }

  function turnExplain() {
    go(href("sessions", open, params(predicates, !explain)), { replace: true });
  }

  function turnDates() {
    switchDates();
    datesButton.setAttribute("aria-pressed", isAbsolute());
  }

  function closePane() {
    go(toHref(null, predicates));
  }

  function revokeOne(session) {
    openRevoke({ kind: "one", session, queries: [{ idsQuery: { ids: [session.id] } }] });
  }

  function revokeUser(user) {
    openRevoke({ kind: "user", user, queries: [{ userIdQuery: { id: user.id } }] });
  }

  function revokeMatching() {
    if (!faulty()) openRevoke({ kind: "search", predicates, queries: toQueries(predicates) });
  }

  /** A revocation has ended: it revoked one session, or perhaps many. @param {string|null} id */
  function ended(id) {
    if (id !== null && list.drop(id)) fill(revokedSince, ` · ${(++since).toLocaleString("en")} revoked since`);
    if (id === null && searched !== null) list.run({ predicates, explain });
    if (open !== null && (id === null || id === open)) pane.show(open, list.session(open));
  }

  /** Below the width of two columns an open session hides the search. */
  function focus() {
    if (open !== null && !wide()) closePane();
    box.focus();
  }

  view = {
    focus, again, turnExplain, turnDates, revokeMatching, closePane, ended, walk: steps, isOpen: () => open !== null,
    revoke: () => {
      const session = open !== null ? pane.session() : list.session(steps.at());
      if (session) revokeOne(session);
    },
  };
  return { node, show };
}

function toggle(text, title, onclick, pressed = false) {
  return el("button", { type: "button", class: "button quiet little", title, "aria-pressed": String(pressed), onclick }, text);
}

/** Whether a session opens beside the list. */
function wide() {
  return matchMedia("(min-width: 1080px)").matches;
}

const here = () => shownView() === "sessions";
const mayRevoke = () => may("delete");
/** In front of a ZITADEL searches are not explained. */
const mayExplain = () => mayAll("read") && !me().zitadel;
addKeys("Sessions", [
  { keys: "/", says: "Search", run: searchFromAnywhere },
  { keys: "j", says: "Next session", run: () => view.walk.by(1), when: here },
  { keys: "k", says: "Session before", run: () => view.walk.by(-1), when: here },
  { keys: "o", says: "Open it (or Enter)", run: () => view.walk.open(), when: here },
  { keys: "u, Escape", says: "Back to the list", run: () => view.closePane(), when: () => here() && view.isOpen() },
  { keys: "r", says: "Revoke it", run: () => view.revoke(), when: here, given: mayRevoke },
  { keys: "x", says: "Revoke all that match", run: () => view.revokeMatching(), when: here, given: mayRevoke },
  { keys: "e", says: "Explain the search", run: () => view.turnExplain(), when: here, given: mayExplain },
  { keys: "d", says: "Absolute or relative dates", run: () => view.turnDates(), when: here },
  { keys: ".", says: "Search again", run: () => view.again(), when: here },
]);

addEventListener("revocation-ended", (event) => view?.ended(event.detail));

function searchFromAnywhere() {
  if (!here()) go(lastHash("sessions"));
  view.focus();
}
