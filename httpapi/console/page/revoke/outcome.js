// Shows how a revocation ended.

import { el } from "../shell/dom.js";
import { count, me } from "../shell/me.js";
import { notice } from "../shell/notice.js";
import { safeText } from "../shell/text.js";
import { duration, timeNode } from "../shell/time.js";

/** The heading. @param {object} done as /revocations/{id} answers it */
export function ended({ state, answer }) {
  if (state === "failed") return "The revocation has failed";
  return answer?.failed ? "The revocation has ended, and some failed" : "The revocation is done";
}

/** @param {object} done as /revocations/{id} answers it @returns {HTMLElement} */
export function outcome(done) {
  const answer = done.answer ?? {};
  const revoked = answer.revoked ?? done.revoked ?? "0";
  return el("div", { class: "outcome" },
    done.state === "done" ? notice("good", `${count(revoked, "session")} revoked`, bound(revoked === "1" ? "it" : "these")) : failed(done, answer, revoked),
    el("dl", { class: "facts" },
      line("Revoked", count(revoked, "session")),
      answer.failed ? line("Failed", count(answer.failed, "session")) : null,
      answer.unreplicated ? line("Not on all replicas yet", [count(answer.unreplicated, "session"), el("span", { class: "soft" }, ": fewer replicas than asked for have these deletions. If the master fails now, they may come back.")]) : null,
      answer.notBefore ? line("JWTs", ["of all the user's logins until ", timeNode(answer.notBefore), " are refused"]) : null,
      answer.sessionsOfJwts ? line("JWTs", `of ${count(answer.sessionsOfJwts, "session")} are refused from now on`) : null,
      done.endedAt ? line("Ended", [timeNode(done.endedAt), el("span", { class: "soft" }, `, after ${took(Date.parse(done.endedAt) - Date.parse(done.startedAt))}`)]) : null));
}

/** "120 ms", "4s". @param {number} span in milliseconds */
function took(span) {
  return span < 1000 ? `${Math.max(0, span)} ms` : duration(span);
}

function failed(done, answer, revoked) {
  return notice("bad", done.status ? `It stopped (${done.status})` : "It stopped", safeText(answer.message ?? "The sidecar says no reason."),
    `${count(revoked, "session")} ${revoked === "1" ? "is" : "are"} revoked, and stay so. Run it again to go on with the others.`);
}

/** @param {"it"|"these"} them */
function bound(them) {
  const { stalenessSeconds } = me();
  return stalenessSeconds ? `Every sidecar refuses ${them} within ${count(stalenessSeconds, "second")}; this one does already.` : `Every sidecar refuses ${them} now.`;
}

function line(term, value) {
  return [el("dt", null, term), el("dd", null, value)];
}
