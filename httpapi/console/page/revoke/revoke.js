// The dialog that revokes: the count first, then it asks, then progress, then what became of it.

import { call } from "../shell/api.js";
import { openDialog } from "../shell/dialog.js";
import { el, fill } from "../shell/dom.js";
import { count, me, onlyOrgs } from "../shell/me.js";
import { failure, notice } from "../shell/notice.js";
import { safeText } from "../shell/text.js";
import { factorNames, whose } from "../sessions/row.js";
import { nameOf } from "../sessions/predicates.js";
import { ended, outcome } from "./outcome.js";
import { notBegun, seen } from "./remembered.js";
import { begin, cutOff, follow, hasBegun, keepInSight, mayHaveBegun, notKnown, planned, tellNotKnown } from "./running.js";

/** From so many sessions on, the count has to be typed. */
const typedAbove = 20;

/** The count may take longer than other answers, in milliseconds. */
const countingTakes = 35_000;

/**
 * @typedef {object} Target
 * @property {"one"|"user"|"search"} kind
 * @property {object[]} queries as the API takes them; none means every session
 * @property {object} [session] for "one"
 * @property {object} [user] for "user"
 * @property {import("../sessions/predicates.js").Predicate[]} [predicates] for "search"
 *
 * @param {Target} target
 */
export function openRevoke(target) {
  const open = new AbortController();
  let under = null; // the revocation that runs
  const dialog = openDialog(title(target), { class: "revoke", closed });
  const body = target.queries.length ? { queries: target.queries } : { all: true };
  counting();

  function closed() {
    open.abort();
    if (under) keepInSight(under);
  }

  async function counting() {
    fill(dialog.title, title(target));
    fill(dialog.body, el("p", { class: "row soft", "aria-busy": "true" }, "Counting what this would revoke…"), el("progress", { "aria-label": "Counting" }));
    fill(dialog.footer, cancel("Cancel"));
    try {
      const { revoked } = await call("POST", "revocations", { ...body, dryRun: true }, { signal: open.signal, wait: countingTakes });
      ask(Number(revoked));
    } catch (error) {
      if (!open.signal.aborted) fill(dialog.body, failure(error, { again: counting }));
    }
  }

  function ask(n) {
    if (n === 0) return nothing();
    const typed = n > typedAbove ? countField(n) : null;
    const yes = el("button", { type: "submit", class: "button danger main", disabled: typed !== null }, n === 1 ? "Revoke it" : `Revoke ${count(n, "session")}`);
    const form = el("form", { id: "revoke-form", class: "ask", autocomplete: "off", onsubmit: (event) => { event.preventDefault(); if (!yes.disabled) run(n); } },
      el("p", { class: "figure" }, el("b", null, n.toLocaleString("en")), ` session${n === 1 ? "" : "s"} will end`),
      described(target),
      scopeNote(),
      el("p", null, n === 1 ? "Whoever uses it is logged out and has to log in again. " : "Whoever uses one of these is logged out and has to log in again. ", el("b", null, "This cannot be undone.")),
      typed?.node);
    yes.setAttribute("form", "revoke-form");
    typed?.input.addEventListener("input", () => (yes.disabled = !typed.right()));
    fill(dialog.body, form);
    const no = cancel("Cancel");
    fill(dialog.footer, no, yes);
    (typed?.input ?? no).focus();
  }

  function nothing() {
    fill(dialog.body, notice("", "Nothing to revoke", "No session matches that this key may revoke. It may have ended meanwhile.", scopeNote()));
    const close = cancel("Close");
    fill(dialog.footer, close);
    close.focus();
  }

  async function run(n) {
    const revocation = planned({ n, sessionId: target.session?.id });
    const close = starting();
    try {
      await begin(revocation, body);
    } catch (error) {
      if (mayHaveBegun(error)) unknown(revocation, error.status !== 0);
      else if (!open.signal.aborted) stopped(failure(error, { again: counting, advice: { 429: "Four revocations may run at a time. Wait until one has ended, then try again." } }));
      return;
    }
    watch(revocation, close);
  }

  function starting() {
    fill(dialog.title, "Revoking…");
    fill(dialog.body, el("p", { class: "soft" }, "Starting…"), el("progress", { "aria-label": "Starting" }));
    const close = cancel("Close");
    fill(dialog.footer, close);
    close.focus();
    return close;
  }

  /** Follows one that has begun. */
  async function watch(revocation, close) {
    if (open.signal.aborted) return keepInSight(revocation);
    under = revocation;
    const { n } = revocation;
    const bar = el("progress", { max: n, "aria-label": "Revoked so far" });
    const said = el("p", { class: "soft", "aria-live": "polite" }, "It has begun.");
    fill(dialog.body, bar, said, el("p", { class: "soft small" }, "It goes on when this dialog or the page is closed."));
    try {
      const done = await follow(revocation, progress, open.signal);
      seen(revocation.id);
      fill(dialog.title, ended(done));
      fill(dialog.body, outcome(done));
      fill(dialog.footer, done.state === "failed" ? el("button", { type: "button", class: "button", onclick: counting }, "Go on…") : null, close);
      close.focus();
    } catch (error) {
      if (open.signal.aborted) return;
      if (error.status !== 404) return stopped(failure(error));
      seen(revocation.id);
      stopped(notice("warn", "The revocation was cut off", cutOff), "Count again");
    } finally {
      if (!open.signal.aborted) under = null;
    }

    function progress(now) {
      bar.value = Math.min(n, Number(now.revoked));
      said.textContent = `${Number(now.revoked).toLocaleString("en")} of ${n.toLocaleString("en")}`;
    }
  }

  /** The answer to begin was lost, so it may run: this is looked for also when the dialog is closed. */
  function unknown(revocation, reachable) {
    if (!open.signal.aborted) stopped(notice("warn", "It is not known whether it has begun", "The answer was lost. As soon as the sidecar answers, this page looks whether the revocation runs. It does not begin it again."));
    if (reachable) lookFor();
    else addEventListener("sidecar-back", lookFor, { once: true });

    async function lookFor() {
      try {
        if (await hasBegun(revocation)) return watch(revocation, starting());
        if (open.signal.aborted) return tellNotKnown(revocation);
        notBegun(revocation.id);
        stopped(notice("warn", "The sidecar does not know of it", notKnown), "Count again");
      } catch (error) {
        if (error.status === 0) unknown(revocation, false);
        else if (error.status === 503) setTimeout(lookFor, 2000);
        else if (!open.signal.aborted) stopped(failure(error), "Count again");
      }
    }
  }

  /** @param {string} [again] the text of the button that counts again, if there is to be one */
  function stopped(said, again) {
    fill(dialog.title, "Revocation");
    fill(dialog.body, said);
    const close = cancel("Close");
    fill(dialog.footer, again ? el("button", { type: "button", class: "button", onclick: counting }, again) : null, close);
    close.focus();
  }

  function cancel(text) {
    return el("button", { type: "button", class: "button", onclick: dialog.close }, text);
  }
}

function title({ kind, queries }) {
  if (kind === "one") return "Revoke this session?";
  if (kind === "user") return "Revoke all sessions of this user?";
  if (queries.length) return "Revoke all sessions that match?";
  return onlyOrgs("delete").length ? "Revoke every session of your organizations?" : "Revoke every session there is?";
}

function described({ kind, session, user, predicates }) {
  if (kind === "one") {
    return el("dl", { class: "facts" }, fact("User", whose(session) ?? "no user"), fact("Device", session.userAgent?.description || session.userAgent?.ip || "unknown"),
      fact("Factors", factorNames(session).join(", ") || "none"), fact("Session", session.id));
  }
  if (kind === "user") return el("dl", { class: "facts" }, fact("User", user.loginName || user.displayName || user.id), fact("User ID", user.id), el("dt", null, "Which"), el("dd", null, "all of them, on every device"));
  if (!predicates.length) {
    return notice("warn", "There is no predicate", `This search finds everything, so everybody${onlyOrgs("delete").length ? " in these organizations" : ""} is logged out: every user, on every device. Add a predicate to the search to revoke less.`);
  }
  return el("div", null, el("p", { class: "soft" }, "All that match each of these, also those that are not on the page yet:"),
    el("ul", { class: "predicates" }, predicates.map((p) => el("li", { class: "chip" }, el("span", { class: "name" }, nameOf(p)), " ", safeText(p.value, { max: 80 })))));
}

function fact(term, value) {
  return [el("dt", null, term), el("dd", { class: "wrap" }, safeText(value, { max: 120 }))];
}

/** The limits of the key, and the promise of the sidecar. */
function scopeNote() {
  const orgs = onlyOrgs("delete");
  const { replicas } = me();
  return [
    orgs.length ? notice("", "Only in some organizations", el("p", null, "This key revokes sessions of ", orgs.map((org, i) => [i ? ", " : "", safeText(org)]), ". Others are neither counted nor touched.")) : null,
    replicas ? el("p", { class: "soft small" }, `Each deletion waits for ${count(replicas, "replica")}.`) : null,
  ];
}

function countField(n) {
  const input = el("input", { id: "revoke-count", class: "input", inputmode: "numeric", autocomplete: "off" });
  return {
    input,
    node: el("div", { class: "field" }, el("label", { for: "revoke-count" }, "Type ", el("b", { class: "mono" }, n), " to confirm"), input),
    right: () => input.value.replace(/[\s,.'’]/g, "") === String(n),
  };
}
