// The sign-in. The key is sent once, in a body, and kept nowhere.

import { call } from "./api.js";
import { el, fill, icon } from "./dom.js";
import { notice } from "./notice.js";

/**
 * @param {string|null} why the sign-in is asked for again, if it is
 * @param {(answer: object) => void} signedIn
 * @returns {HTMLElement}
 */
export function signIn(why, signedIn) {
  const key = el("input", {
    id: "key", class: "input mono", type: "password", name: "key", autocomplete: "off", autocapitalize: "off", spellcheck: "false",
    required: true, placeholder: "ck_…", "aria-describedby": "key-hint fault",
  });
  const button = el("button", { type: "submit", class: "button main" }, "Sign in");
  const fault = el("div", { id: "fault", class: "fault", "aria-live": "assertive" });
  const form = el("form", { autocomplete: "off", onsubmit: submit },
    el("div", { class: "brand" }, icon("hanger"), el("h1", null, "Cloakroom")),
    why ? notice("warn", "You have been signed out", why) : null,
    el("div", { class: "field" }, el("label", { for: "key" }, "API key"), key),
    fault, button,
    el("div", { class: "field", id: "key-hint" },
      el("p", { class: "hint" }, "What the key may do holds here, too. A key for on-call, that reads and revokes:"),
      el("pre", null, "cloakroom key new --name on-call \\\n  --user-id on-call --file keys.yaml \\\n  --permission session.read \\\n  --permission session.delete")));

  async function submit(event) {
    event.preventDefault();
    const typed = key.value.trim();
    if (typed === "") return;
    button.disabled = true;
    fill(fault);
    try {
      const answer = await call("POST", "sign-in", { key: typed, secure: location.protocol === "https:" });
      key.value = "";
      signedIn(answer);
    } catch (error) {
      fill(fault, notice("bad", ...said(error)));
      key.setAttribute("aria-invalid", "true");
      key.select();
    } finally {
      button.disabled = false;
    }
  }
  queueMicrotask(() => key.focus());
  return el("main", { class: "signin" }, form);
}

function said(error) {
  switch (error.status) {
    case 0: return ["The sidecar does not answer", "Is it running, and the port-forward up? Try again."];
    case 401: return ["No such key", "The sidecar has no key like this. Keys begin with ck_; it reads its keys file again when that changes."];
    case 429: return ["Too many wrong keys", "Wait some seconds, then try again."];
    default: return [`The sign-in failed (${error.status})`, error.message];
  }
}
