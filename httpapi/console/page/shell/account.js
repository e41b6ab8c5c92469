// The button with the name of the key: it opens the key's permissions and the sign-out.

import { el, fill, icon } from "./dom.js";
import { me, mayAll, onlyOrgs, rights } from "./me.js";
import { safeText } from "./text.js";
import { timeNode } from "./time.js";

/** @param {() => void} signOut @returns {Node[]} the button, and what it opens */
export function account(signOut) {
  const panel = el("div", { id: "account-panel", class: "popover", popover: "auto", role: "dialog", "aria-label": "Signed in" });
  const name = me().anonymous ? "anonymous" : me().name;
  const button = el("button", { id: "account", type: "button", class: "button quiet", popovertarget: "account-panel" },
    icon("person"), el("span", { class: "who" }, el("span", { class: "unseen" }, "Signed in: "), el("b", { class: "cut" }, safeText(name, { max: 40 })), el("small", { class: "cut" }, rights())));
  panel.addEventListener("beforetoggle", () => fill(panel,
    el("h2", null, safeText(name)),
    el("dl", null,
      row("User ID", safeText(me().userId ?? "–")),
      row("Reads", scope("read")), row("Writes", scope("write")), row("Revokes", scope("delete")),
      me().anonymous ? null : [row("Ends", timeNode(me().endsAt)), row("", el("span", { class: "soft" }, `or after ${Math.round(me().idleSeconds / 60)} minutes without use`))],
      row("Sidecar", safeText(me().process ?? "–")), row("Version", safeText(me().version ?? "–"))),
    me().anonymous
      ? el("p", { class: "soft small" }, "The sidecar runs with --auth-anonymous: nobody signs in.")
      : el("button", { type: "button", class: "button", onclick: signOut }, "Sign out")));
  return [button, panel];
}

function row(term, value) {
  return [el("dt", null, term), el("dd", { class: "wrap" }, value)];
}

function scope(what) {
  if (mayAll(what)) return "all sessions";
  const orgs = onlyOrgs(what);
  if (!orgs.length) return el("span", { class: "faint" }, "nothing");
  return ["sessions of ", orgs.map((org, i) => [i ? ", " : "", safeText(org)])];
}
