// The foot of a verdict: of when it is. It asks again when the verdict may have changed.

import { el, icon } from "../shell/dom.js";
import { eachSecond, timeNode } from "../shell/time.js";

const units = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };

/** Answers come from another clock and are rounded: so much later the change has come for sure. In milliseconds. */
const margin = 1000;

/**
 * From the moment on at which the session ends, or a policy's max_age is over, the card is grey; then it is judged again.
 * @param {HTMLElement} card of the verdict
 * @param {object} verdict as the sidecar answers it
 * @param {(() => void)|null} again judges anew; null if that cannot be: a token is not kept
 * @returns {HTMLElement}
 */
export function asOf(card, verdict, again) {
  const change = nextChange(verdict);
  const said = el("span", null, "As of ", timeNode(verdict.now, { precise: true }));
  const foot = el("footer", { class: "row soft small" }, said,
    again ? el("button", { type: "button", class: "button quiet little square push", title: "Judge again (.)", "aria-label": "Judge again", onclick: ask }, icon("refresh")) : null);
  let asked = false;
  eachSecond(foot, (now) => {
    if (now < change || asked) return;
    if (!card.classList.contains("stale") && !again) foot.append(" It may have changed: paste the token again.");
    card.classList.add("stale");
    if (again && now >= change + margin) ask();
  });
  return foot;

  function ask() {
    asked = true;
    again();
  }
}

/** @returns {number} when the verdict may change by time alone, in milliseconds since 1970; Infinity if it does not */
function nextChange(verdict) {
  const ages = (verdict.policies ?? []).flatMap((policy) => policy.checks ?? []).filter((check) => check.name === "max_age");
  const moments = [Date.parse(verdict.expires ?? ""), ...ages.map((check) => Date.parse(verdict.authTime ?? "") + milliseconds(check.asks))];
  return Math.min(...moments.filter((at) => at > Date.parse(verdict.now)));
}

/** @param {string} duration as Go writes it, such as "1h30m" */
function milliseconds(duration) {
  return [...duration.matchAll(/([\d.]+)(h|ms|m|s)/g)].reduce((sum, [, n, unit]) => sum + Number(n) * units[unit], 0);
}
