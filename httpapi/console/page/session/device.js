// The user agent of a session.

import { el } from "../shell/dom.js";
import { href } from "../shell/router.js";
import { copyButton, longText, safeText } from "../shell/text.js";
import { pairs } from "./pairs.js";

/** @param {object|undefined} agent as in the API */
export function device(agent) {
  const headers = Object.entries(agent?.header ?? {});
  const node = el("section", null, el("h3", null, "Device"));
  if (!agent || !(agent.description || agent.ip || agent.fingerprintId || headers.length)) {
    node.append(el("p", { class: "faint" }, "Nothing is known of it."));
    return node;
  }
  node.append(el("dl", { class: "facts" },
    fact("Description", agent.description && longText(agent.description, { max: 120 })),
    fact("IP", agent.ip && el("span", { class: "mono" }, longText(agent.ip, { max: 60 })), agent.ip),
    fact("Fingerprint", agent.fingerprintId && el("a", { class: "mono wrap", href: href("sessions", null, new URLSearchParams({ agent: agent.fingerprintId })), title: "All sessions of this device" }, safeText(agent.fingerprintId, { max: 60 })), agent.fingerprintId)));
  if (headers.length) node.append(pairs("headers", headers.map(([name, { values }]) => [name, longText((values ?? []).join("\n"), { max: 160 })])));
  return node;
}

function fact(term, value, copied) {
  return [el("dt", null, term), el("dd", null, value || el("span", { class: "faint" }, "–"), copied ? copyButton(() => copied, `Copy the ${term === "IP" ? "IP" : term.toLowerCase()}`) : null)];
}
