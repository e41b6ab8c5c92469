// The user agent of a session.

import { el } from "../shell/dom.js";
import { href } from "../shell/router.js";
import { copyButton, longText, safeText } from "../shell/text.js";
import { pairs } from "./pairs.js";

const valuesShown = 8;

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
  if (headers.length) node.append(pairs("headers", headers.map(([name, { values }]) => [name, valuesOf(values ?? [])])));
  return node;
}

function valuesOf(values) {
  const rest = values.length - valuesShown;
  return el("div", null, values.slice(0, valuesShown).map((value) => el("div", null, longText(value, { max: 160 }))),
    rest > 0 ? el("div", { class: "faint" }, `${rest} more are in the JSON below`) : null);
}

function fact(term, value, copied) {
  return [el("dt", null, term), el("dd", null, value || el("span", { class: "faint" }, "–"), copied ? copyButton(() => copied, `Copy the ${term === "IP" ? "IP" : term.toLowerCase()}`) : null)];
}
