// The other sessions of the same user.

import { call } from "../shell/api.js";
import { el, fill } from "../shell/dom.js";
import { count } from "../shell/me.js";
import { failure } from "../shell/notice.js";
import { href } from "../shell/router.js";
import { cutText } from "../shell/text.js";
import { timeNode } from "../shell/time.js";

const shown = 20;

/**
 * Fills node with the newest other sessions of the session's user.
 * @param {(id: string) => string} toHref keeps the search
 */
export async function others(node, session, toHref, signal) {
  const user = session.factors?.user?.id;
  if (!user) return;
  try {
    const answer = await call("POST", "search", { query: { limit: shown + 1 }, queries: [{ userIdQuery: { id: user } }], sortingColumn: "SESSION_FIELD_NAME_CREATION_DATE" }, { signal });
    if (signal.aborted) return;
    const rest = answer.sessions.filter((other) => other.id !== session.id).slice(0, shown);
    const total = Number(answer.details.totalResult);
    const others = total - 1;
    fill(node, el("section", null,
      el("h3", null, others > 0 ? `${count(others, "other session")} of this user` : "No other session of this user"),
      rest.length ? el("ul", { class: "others" }, rest.map((other) => item(other, toHref))) : null,
      others > shown ? el("p", null, el("a", { href: href("sessions", null, new URLSearchParams({ user })) }, `All ${count(total, "session")} of this user`)) : null));
  } catch (error) {
    if (!signal.aborted) fill(node, el("section", null, el("h3", null, "Other sessions of this user"), failure(error, { again: () => others(node, session, toHref, signal), signal })));
  }
}

function item(session, toHref) {
  return el("li", null, el("a", { href: toHref(session.id) },
    cutText(session.userAgent?.description || session.userAgent?.ip || session.id),
    el("span", { class: "when soft small" }, timeNode(session.creationDate)),
    el("span", { class: "when soft small" }, session.expirationDate ? ["ends ", timeNode(session.expirationDate)] : "never ends")));
}
