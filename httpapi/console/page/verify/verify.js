// The view that says whether verify would let a token or a session pass. A token is in memory only, and only until it was sent.

import { call } from "../shell/api.js";
import { el, fill } from "../shell/dom.js";
import { addKeys } from "../shell/keys.js";
import { me } from "../shell/me.js";
import { failure } from "../shell/notice.js";
import { href, setTitle, shownView } from "../shell/router.js";
import { announce, cutText, safeText } from "../shell/text.js";
import { timeNode } from "../shell/time.js";
import { factorNames, whose } from "../sessions/row.js";
import { credentialOf } from "./credential.js";
import { verdictCard } from "./verdict.js";

let focusInput = () => {};
let judgeAgain = () => {};

/** @returns {import("../shell/router.js").View} */
export function verifyView() {
  let running = null;
  let again = null; // judges anew what was judged by its ID
  const input = el("textarea", { id: "credential", class: "input mono", rows: "3", autocomplete: "off", autocapitalize: "off", autocorrect: "off", spellcheck: "false", "aria-describedby": "taken-as", oninput: guess, onkeydown: enter });
  const takenAs = el("p", { id: "taken-as", class: "hint", "aria-live": "polite" });
  const button = el("button", { type: "submit", class: "button main", disabled: true }, "Ask verify");
  const as = el("select", { class: "input", "aria-label": "How to take it", onchange: guess }, [["", "Detect what it is"], ["token", "Take it as a token"], ["id", "Take it as a session ID"]].map(([value, text]) => el("option", { value }, text)));
  const result = el("div", { class: "result" });
  const form = el("form", { class: "card", autocomplete: "off", onsubmit: ask },
    el("div", { class: "in" },
      el("div", { class: "field" }, el("label", { for: "credential" }, "A token, or the ID of a session"), input),
      el("div", { class: "row" }, button, as, takenAs)));
  const node = el("section", { class: "verify" }, el("h1", { tabindex: "-1" }, "Would verify let it pass?"),
    el("p", { class: "soft lead" }, "Paste what the client sends: a session token, a JWT, or ZITADEL's login cookie. It is sent in a body, and kept nowhere."), form, result);
  focusInput = () => input.focus();
  judgeAgain = () => again?.();
  intro();

  function intro() {
    fill(result, policies());
  }

  function guess() {
    const found = credentialOf(input.value, as.value);
    button.disabled = !found;
    takenAs.textContent = found ? `This is ${found.says}.` : " ";
  }

  function enter(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  }

  async function ask(event) {
    event.preventDefault();
    const found = credentialOf(input.value, as.value);
    if (!found) return;
    input.value = "";
    guess();
    await judge(found);
  }

  /** @param {boolean} [keep] whether the last verdict stays until the next one is there */
  async function judge({ id, token }, keep) {
    running?.abort();
    running = new AbortController();
    const { signal } = running;
    again = id ? () => judge({ id }, true) : null;
    if (keep) result.firstElementChild?.classList.add("stale");
    else fill(result, el("div", { class: "verdict waiting", "aria-busy": "true" }, el("span", { class: "bone", style: { width: "40%" } })));
    try {
      const verdict = await call("POST", "judge", id ? { id } : { token }, { signal });
      if (signal.aborted) return;
      fill(result, verdictCard(verdict, "h2", again), about(verdict));
      announce(verdict.passes ? "Verify lets it pass" : `Verify refuses it: ${verdict.reason}`);
    } catch (error) {
      if (!signal.aborted) fill(result, failure(error, { again, signal }));
    }
  }

  return { node, show, hide };

  function show() {
    setTitle("Verify");
    guess();
    setTimeout(() => input.focus({ preventScroll: true }), 0);
  }

  /** A token that was pasted and not sent does not stay behind. */
  function hide() {
    input.value = "";
  }
}

/** Whose it is, as far as the verdict tells. */
function about(verdict) {
  const { session } = verdict;
  if (!session) return null;
  return el("section", { class: "card about" }, el("header", null, el("h2", null, "The session"), el("a", { class: "push", href: href("sessions", session.id) }, "Open it")),
    el("dl", { class: "facts in" },
      line("Found by", byNames[verdict.by] ?? verdict.by),
      line("User", whose(session) ? cutText(whose(session)) : "no user yet"),
      line("Session", cutText(session.id, { class: "mono" })),
      line("Organization", verdict.organizationId ? cutText(verdict.organizationId, { class: "mono" }) : "–"),
      line("Factors", factorNames(session).join(", ") || "none"),
      line("Verified", timeNode(verdict.authTime)),
      line("Ends", timeNode(session.expirationDate, { missing: "never", precise: true }))));
}

const byNames = { id: "its ID", session_token: "a session token", jwt: "a JWT", pair: "an ID and a token", login_cookie: "ZITADEL's login cookie" };

function policies() {
  const all = me().policies ?? [];
  if (!all.length) return el("p", { class: "soft" }, "This sidecar has no policies: a session passes that lives, and has a user and at least one other factor.");
  return el("section", { class: "card" }, el("header", null, el("h2", null, "What the policies ask for")),
    el("dl", { class: "facts in" }, all.map((policy) => [
      el("dt", null, safeText(policy.name), policy.default ? el("span", { class: "tag accent" }, "default") : null), el("dd", null, safeText(policy.asks))])));
}

function line(term, value) {
  return [el("dt", null, term), el("dd", null, value)];
}

const here = () => shownView() === "verify";
addKeys("Verify", [
  { keys: "i", says: "To the field", run: () => focusInput(), when: here },
  { keys: ".", says: "Judge an ID again", run: () => judgeAgain(), when: here },
]);
