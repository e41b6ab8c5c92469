// One session as a row of the list.

import { el } from "../shell/dom.js";
import { cutText, escaped, safeText } from "../shell/text.js";
import { timeNode } from "../shell/time.js";
import { withOne } from "./predicates.js";

export const columns = ["User", "Factors", "Device", "Organization", "Created", "Expires", "ID"];

/** The factors that were verified, beside the user, by the names of the API. */
export function factorNames(session) {
  return Object.keys(session.factors ?? {}).filter((name) => name !== "user");
}

/** The name that a person would give the session: login name, display name, or user ID. @returns {string|null} */
export function whose(session) {
  const user = session.factors?.user;
  return user?.loginName || user?.displayName || user?.id || null;
}

/**
 * @param {object} session as in the API
 * @param {number} index from 1
 * @param {import("./predicates.js").Predicate[]} predicates of the search, which links narrow
 * @param {(id: string|null, predicates: object[]) => string} toHref
 */
export function row(session, index, predicates, toHref) {
  const user = session.factors?.user;
  const agent = session.userAgent ?? {};
  const narrow = (kind, value, title) => narrower(toHref(null, withOne(predicates, { kind, value })), value, title);
  return el("div", { class: "srow", role: "row", "aria-rowindex": index + 1, dataset: { id: session.id } },
    cell("who",
      el("a", { class: "open", href: toHref(session.id, predicates) }, whose(session) ? cutText(whose(session)) : el("span", { class: "faint" }, "no user yet")),
      user ? narrow("user", user.id, "Only this user") : null),
    cell("factors", factorTags(session)),
    cell("device", agent.description ? cutText(agent.description) : el("span", { class: "faint" }, "unknown"),
      el("span", { class: "second" }, agent.ip ? safeText(agent.ip, { max: 45 }) : null, agent.ip && agent.fingerprintId ? " · " : null,
        agent.fingerprintId ? narrow("device", agent.fingerprintId, "Only this device") : null)),
    cell("org", user?.organizationId ? cutText(user.organizationId, { class: "mono" }) : el("span", { class: "faint" }, "–")),
    cell("created", timeNode(session.creationDate)),
    cell("ends", timeNode(session.expirationDate, { missing: "never" })),
    cell("sid", cutText(session.id, { class: "mono" })));
}

function factorTags(session) {
  const names = factorNames(session);
  if (!names.length) return el("span", { class: "tag warn", title: "Nothing was proven: verify refuses it" }, session.factors?.user ? "user only" : "nothing");
  const rest = names.slice(names.length > 2 ? 2 : names.length);
  return [names.slice(0, 2).map((name) => el("span", { class: "tag" }, name)),
    rest.length ? el("span", { class: "tag", title: rest.join(", ") }, `+${rest.length}`) : null];
}

/** A value that narrows the search to the sessions that have it. */
function narrower(href, value, title) {
  return el("a", { class: "narrow", href, title: `${title}: ${escaped(value)}` }, safeText(value, { max: 60 }));
}

function cell(name, ...children) {
  return el("div", { class: `cell ${name}`, role: "cell" }, children);
}

/** A row that is still loading. */
export function rowBones(width) {
  return el("div", { class: "srow bones", "aria-hidden": "true" }, columns.map((_, i) => el("div", { class: `cell ${["who", "factors", "device", "org", "created", "ends", "sid"][i]}` },
    el("span", { class: "bone", style: { width: `${[width, 70, width - 15, 80, 60, 60, 80][i]}%` } }))));
}
