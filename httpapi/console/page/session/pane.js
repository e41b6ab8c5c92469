// One session: who, until when, what verify says, on which device.

import { call } from "../shell/api.js";
import { el, fill, icon } from "../shell/dom.js";
import { may, me, onlyOrgs } from "../shell/me.js";
import { failure, notice } from "../shell/notice.js";
import { href } from "../shell/router.js";
import { copyButton, longText, safeText } from "../shell/text.js";
import { whose } from "../sessions/row.js";
import { verdictCard } from "../verify/verdict.js";
import { device } from "./device.js";
import { metadata } from "./metadata.js";
import { others } from "./others.js";
import { raw } from "./raw.js";
import { timeline } from "./timeline.js";

/**
 * @param {{close: () => void, revoke: (session: object) => void, revokeUser: (user: object) => void, toHref: (id: string) => string}} does
 * toHref: of another session, within the same search
 */
export function sessionPane(does) {
  let running = null;
  let shown = null;
  let at = null; // the ID that is shown
  const head = el("div", { class: "head" });
  const state = el("div", { class: "state" });
  const verdict = el("div");
  const body = el("div", { class: "body" });
  const rest = el("div", { class: "body" });
  const json = el("div", { class: "body" });
  const node = el("aside", { class: "pane", "aria-label": "Session", tabindex: "-1", hidden: true }, head, el("div", { class: "in" }, state, verdict, body, rest, json));

  /**
   * Shows a session: at once what the list has of it, then what the store has.
   * @param {string} id
   * @param {object|undefined} known
   */
  async function show(id, known) {
    running?.abort();
    running = new AbortController();
    const { signal } = running;
    at = id;
    node.hidden = false;
    node.scrollTop = 0;
    fill(state);
    fill(verdict, waiting(verdict.querySelector(".verdict")?.offsetHeight || usualHeight()));
    fill(rest);
    fill(json);
    draw(id, known ?? null);
    const stored = call("GET", `sessions/${encodeURIComponent(id)}`, undefined, { signal });
    judge(id, signal, stored);
    try {
      const { session } = await stored;
      if (signal.aborted) return;
      draw(id, session);
      others(rest, session, does.toHref, signal);
    } catch (error) {
      if (!signal.aborted) lost(id, known, error, signal);
    }
  }

  function lost(id, known, error, signal) {
    const gone = error.status === 404;
    if (known) draw(id, known, gone);
    if (!gone) fill(state, failure(error, { again: () => show(id, known), signal }));
    else fill(state, notice("warn", "This session is not there any more", known ? "It has ended or was revoked. Below is what the list had of it." : "It has ended or was revoked, or its ID is mistyped."));
    if (gone) {
      shown = null;
      head.querySelector(".actions")?.remove();
    }
    if (!known) for (const part of [body, rest, json]) fill(part);
  }

  function draw(id, session, gone = false) {
    shown = session;
    fill(head, heading(id, session));
    if (!session) {
      fill(body, Array.from({ length: 8 }, (_, i) => el("p", null, el("span", { class: "bone", style: { width: `${40 + ((i * 23) % 50)}%` } }))));
      return;
    }
    fill(body, timeline(session, { gone }), device(session.userAgent), metadata(session.metadata));
    fill(json, raw(session));
  }

  function heading(id, session) {
    const user = session?.factors?.user;
    const name = user?.displayName || (session && whose(session)) || "Session";
    return [
      el("button", { type: "button", class: "button quiet square back", title: "Back (u)", "aria-label": "Back to the list", onclick: does.close }, icon("back"), icon("close")),
      el("div", { class: "names" },
        el("h2", null, longText(name, { max: 80 })),
        user?.loginName && user.loginName !== name ? el("p", { class: "soft" }, longText(user.loginName, { max: 80 })) : null,
        el("dl", { class: "ids" },
          idRow("Session", id), user ? idRow("User", user.id, href("sessions", null, new URLSearchParams({ user: user.id }))) : null,
          user?.organizationId ? idRow("Org", user.organizationId) : null)),
      session && may("delete") ? actions(session, user) : null,
    ];
  }

  function actions(session, user) {
    const orgs = onlyOrgs("delete");
    if (orgs.length && !orgs.includes(user?.organizationId)) {
      return el("p", { class: "actions soft small" }, "This key does not revoke sessions of this organization.");
    }
    return el("div", { class: "actions" },
      el("button", { type: "button", class: "button danger little", title: "Revoke this session (r)", onclick: () => does.revoke(session) }, "Revoke…"),
      user ? el("button", { type: "button", class: "button danger little", onclick: () => does.revokeUser(user) }, "Revoke all of this user…") : null);
  }

  /** @param {Promise<object>} [stored] the call for the session: if both fail alike, one box says it */
  async function judge(id, signal, stored = Promise.resolve()) {
    verdict.firstElementChild?.classList.add("stale");
    try {
      const answer = await call("POST", "judge", { id }, { signal });
      if (!signal.aborted) fill(verdict, verdictCard(answer, "h3", () => judge(id, signal)));
    } catch (error) {
      const alike = await stored.then(() => false, ({ status }) => status === error.status);
      if (!signal.aborted) fill(verdict, alike ? null : failure(error, { again: () => judge(id, signal), signal }));
    }
  }

  /** Judges the session that is shown again. */
  function judgeAgain() {
    if (!node.hidden) judge(at, running.signal);
  }

  function clear() {
    running?.abort();
    shown = null;
    node.hidden = true;
  }

  return { node, show, clear, judgeAgain, session: () => shown };
}

function idRow(term, value, link) {
  const text = safeText(value, { max: 60, class: "mono" });
  text.classList.add("wrap");
  return [el("dt", null, term), el("dd", null, link ? el("a", { href: link, title: "All sessions of this user" }, text) : text, copyButton(() => value, `Copy the ${term.toLowerCase()} ID`))];
}

/** About what a verdict takes, in pixels: three checks, then each policy with what it asks for. */
function usualHeight() {
  const policies = me().policies ?? [];
  const asked = policies.reduce((sum, policy) => sum + policy.asks.split(";").length, 0);
  return 171 + 49 * policies.length + 24 * asked;
}

/** Keeps the place of a verdict, so that nothing below moves when it comes. */
function waiting(height) {
  return el("div", { class: "verdict waiting", "aria-busy": "true", style: { "min-height": `${height}px` } }, el("span", { class: "bone", style: { width: "45%" } }));
}
