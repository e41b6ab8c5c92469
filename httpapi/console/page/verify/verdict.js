// A verdict: whether verify would let it pass, by which policy, and if not, why.

import { el, icon } from "../shell/dom.js";
import { safeText } from "../shell/text.js";
import { asOf } from "./asof.js";

/** The meaning of each reason to a person, and the advice. */
const reasons = {
  missing: "There was no token. The gateway has to hand it on: --verify-credentials says where verify looks.",
  malformed: "The token has characters or a length that no token can have. Look whether it was cut, or a cookie was quoted.",
  not_found: "No session has this, or none has it any more: it has expired, or was deleted more than 24 hours ago. The user has to log in again.",
  expired: "The session has come to its end. The user has to log in again.",
  revoked: "It was revoked or logged out within the last 24 hours. The user has to log in again.",
  wrong_token: "The session lives, but has another token now: each Set makes a new one, and the old one dies. The application has to use the newest.",
  invalid_jwt: "The JWT is not good: its signature, its audience, a claim, or it is of the wrong kind.",
  store_unavailable: "Redis is away or late, so nothing is known. Look at Live.",
  issuer_unavailable: "The keys of the JWT's issuer are not known, or too old. Look whether the issuer can be reached.",
  overloaded: "Too many requests at a time. Look at Live.",
  probe_limit: "More tokens come that are not known here than ZITADEL is asked about.",
};

/**
 * @param {object} verdict as the sidecar answers it
 * @param {"h2"|"h3"} heading
 * @param {(() => void)|null} again judges anew, if that can be
 */
export function verdictCard(verdict, heading, again) {
  const notAccepted = verdict.checks?.find((check) => check.name === "accepted" && !check.passes);
  const known = verdict.passes ? null : notAccepted ? `${capital(notAccepted.says)}.` : reasons[verdict.reason];
  const sayings = verdict.passes ? passing(verdict) : [notAccepted ? null : detail(verdict), standing(verdict), known && el("p", { class: "soft" }, known)];
  const card = el("section", { class: `verdict ${verdict.passes ? "passes" : "refused"}`, "aria-label": "Verdict of verify" },
    el("header", null, el("span", { class: "sign" }, icon(verdict.passes ? "tick" : "close")),
      el("div", null, el(heading, null, verdict.passes ? "Verify lets it pass" : "Verify refuses it"), sayings),
      el("span", { class: "status" }, el("b", null, verdict.status), verdict.passes ? null : el("code", null, verdict.reason))),
    checks(verdict.checks ?? []),
    (verdict.policies ?? []).length ? el("ul", { class: "policies" }, verdict.policies.map(policy)) : null);
  card.append(asOf(card, verdict, again));
  return card;
}

function passing(verdict) {
  const standard = (verdict.policies ?? []).find((p) => p.default);
  return [el("p", { class: "soft" }, standard ? ["by the default policy ", safeText(standard.name)] : "no default policy asks for more")];
}

/** The detail that verify would answer; it speaks of a token, so it says nothing of an ID that is not known. */
function detail(verdict) {
  if (!verdict.detail || (verdict.by === "id" && verdict.reason === "not_found")) return null;
  return el("p", null, capital(verdict.detail), ".");
}

/** The unmet checks of the default policy, if that refuses. */
function standing(verdict) {
  const missed = (verdict.policies ?? []).find((p) => p.default && !p.passes)?.checks?.filter((check) => !check.passes && check.says) ?? [];
  if (verdict.status !== 403 || !missed.length) return null;
  return el("p", null, missed.map((check, i) => [i ? "; " : "", safeText(i ? check.says : capital(check.says))]), ".");
}

function checks(all) {
  return el("ul", { class: "checks" }, all.map((check) => (check.asks || check.has ? asked(check) : said(check))));
}

function said(check) {
  const says = check.says || (check.name === "headers" && check.passes ? "its values fit into the headers X-Session-…" : "");
  return el("li", { class: check.passes ? "ok" : "no" }, mark(check.passes), el("b", null, check.name), el("span", { class: "soft" }, safeText(says)));
}

function policy(of) {
  return el("li", { class: of.passes ? "ok" : "no" },
    el("p", { class: "policy" }, mark(of.passes), el("b", null, safeText(of.name)), of.default ? el("span", { class: "tag accent" }, "default") : null, el("code", { class: "faint push" }, safeText(of.path))),
    of.checks?.length ? el("ul", { class: "asks" }, of.checks.map(asked)) : null);
}

function asked({ name, passes, asks, has, says }) {
  return el("li", { class: passes ? "ok" : "no" }, mark(passes), el("b", null, name),
    el("span", null, el("span", { class: "faint" }, "asks for "), safeText(asks || "–", { max: 200 }), el("span", { class: "faint" }, " · has "), safeText(has || "none", { max: 80 }),
      says && !passes ? el("span", { class: "says" }, safeText(says)) : null));
}

function mark(passes) {
  return el("span", { class: "mark" }, icon(passes ? "tick" : "close"), el("span", { class: "unseen" }, passes ? "holds: " : "does not hold: "));
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
