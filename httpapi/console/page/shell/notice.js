// A box that says what is wrong, or right, and what to do.

import { el, icon } from "./dom.js";
import { safeText } from "./text.js";

/**
 * @param {"bad"|"warn"|"good"|""} kind
 * @param {string|Node} title
 * @param {...(string|Node|null)} rest
 */
export function notice(kind, title, ...rest) {
  const sign = { bad: "stop", warn: "warn", good: "tick" }[kind] ?? "bulb";
  return el("div", { class: `notice ${kind}`, role: kind === "bad" ? "alert" : null }, icon(sign),
    el("div", null, el("p", { class: "title" }, title), rest.filter(Boolean).map((part) => (part instanceof Node ? part : el("p", null, part)))));
}

/**
 * What went wrong with a call: its message as the sidecar says it, and what to do. With a signal it tries again by itself
 * as soon as the sidecar, or the store, is back, until the signal is aborted or the box has left the page.
 * @param {import("./api.js").ApiError} error
 * @param {{again?: () => void, signal?: AbortSignal, advice?: Record<number, string>}} [options] advice: what to do, by status, in this place
 */
export function failure(error, { again, signal, advice = {} } = {}) {
  const { title, advice: general } = explain(error.status);
  const back = again && signal && backs[error.status];
  const node = notice("bad", title, error.status ? safeText(error.message) : null, advice[error.status] ?? general,
    back ? "This page tries again by itself." : null,
    again && el("p", null, el("button", { type: "button", class: "button little", onclick: retry }, icon("refresh"), "Try again")));
  if (back) addEventListener(back, retry, { signal });
  return node;

  function retry() {
    removeEventListener(back, retry);
    if (node.isConnected) again();
  }
}

/** The events after which a call that failed by this status may do better. */
const backs = { 0: "sidecar-back", 503: "store-back" };

function explain(status) {
  switch (status) {
    case 0: return { title: "The sidecar does not answer", advice: "It may be starting again, or the port-forward has ended." };
    case 400: return { title: "The sidecar does not take this request (400)", advice: "Change what the message names." };
    case 401: return { title: "Not signed in (401)", advice: "Sign in again." };
    case 403: return { title: "This key may not do that (403)", advice: "Sign in with a key that has the permission." };
    case 404: return { title: "There is no such session (404)", advice: "It has ended, or its ID is mistyped." };
    case 409: return { title: "Another request came first (409)", advice: "Look at the message, then try again." };
    case 429: return { title: "Refused as too much (429)", advice: "Wait some seconds, then try again." };
    case 502: return { title: "ZITADEL refused (502)", advice: "Look at the message, then try again." };
    case 503: return { title: "The sidecar cannot tell now (503)", advice: "Redis is away or late: nothing is known about any session until it is back. Live says more." };
    case 504: return { title: "It took too long (504)", advice: "Ask for less, then try again." };
    default: return { title: `Something went wrong (${status})`, advice: "Look into the sidecar's log." };
  }
}
