// The lifetime of a session: how much of it is left, and what happened when.

import { el, fill } from "../shell/dom.js";
import { duration, eachSecond, timeNode } from "../shell/time.js";

/**
 * @param {object} session as in the API
 * @param {{gone?: boolean}} [options] gone: it is not there any more, and this is what was known of it
 * @returns {HTMLElement}
 */
export function timeline(session, { gone = false } = {}) {
  const begin = Date.parse(session.creationDate);
  const end = Date.parse(session.expirationDate ?? "");
  const left = el("p", { class: "left-of-it" });
  const done = el("span", { class: "done" });
  const bar = el("div", { class: Number.isNaN(end) ? "life endless" : "life", "aria-hidden": "true" }, done);
  const now = el("li", { class: "now" }, el("span", { class: "what" }, "now"));
  const node = el("section", { class: gone ? "timeline gone" : "timeline" }, el("h3", null, gone ? "What the list had" : "Lifetime"), left, bar,
    el("ol", null, events(session).map((event) => moment(event, begin)), gone ? null : now,
      gone || Number.isNaN(end) ? null : moment({ at: session.expirationDate, what: "ends" }, begin, "end")));

  if (gone) {
    left.append(Number.isNaN(end) ? "It had no end." : `It was to last ${duration(end - begin)}.`);
    return node;
  }
  eachSecond(left, (time) => {
    const over = time >= end;
    if (Number.isNaN(end)) fill(left, el("b", null, "Never ends"), el("span", { class: "soft" }, ` · ${duration(Math.max(0, time - begin))} old`));
    else if (over) fill(left, el("b", null, "Has ended"), el("span", { class: "soft" }, ` · it lasted ${duration(end - begin)}`));
    else fill(left, el("b", null, `${duration(end - time, true)} left`), el("span", { class: "soft" }, ` of ${duration(end - begin)}`));
    node.classList.toggle("over", over);
    node.classList.toggle("soon", !over && end - time < 5 * 60_000);
    if (!Number.isNaN(end)) done.style.setProperty("--done", Math.min(1, Math.max(0, (time - begin) / (end - begin))));
  });
  return node;
}

/** The events of a session, oldest first. Events of the same moment stay in this order. */
function events(session) {
  const all = [{ at: session.creationDate, what: "created" }];
  for (const [name, factor] of Object.entries(session.factors ?? {})) {
    if (factor?.verifiedAt) all.push({ at: factor.verifiedAt, what: el("span", null, el("b", null, name), " verified"), note: name === "webAuthN" && factor.userVerified ? "with user verification" : null });
  }
  if (session.changeDate && session.changeDate !== session.creationDate) all.push({ at: session.changeDate, what: "changed", note: `version ${session.sequence}` });
  return all.sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
}

function moment({ at, what, note }, begin, kind) {
  const after = Math.round((Date.parse(at) - begin) / 1000) * 1000;
  return el("li", { class: kind }, el("span", { class: "what" }, what, note ? el("span", { class: "faint small" }, ` ${note}`) : null),
    el("span", { class: "after faint small" }, kind !== "end" && after > 0 ? `+${duration(after, true)}` : ""),
    timeNode(at));
}
