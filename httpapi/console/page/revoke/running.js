// Revocations under way. They run in the sidecar: after a reload of the page they are found again.

import { call } from "../shell/api.js";
import { openDialog } from "../shell/dialog.js";
import { el, fill } from "../shell/dom.js";
import { count, may } from "../shell/me.js";
import { timeNode } from "../shell/time.js";
import { outcome } from "./outcome.js";

const every = 500;
let strip = null;

/**
 * @typedef {{id: string, startedAt?: string, n?: number, sessionId?: string}} Revocation
 * n: how many sessions it is about; sessionId: the only one. After a reload neither is known.
 */

/** @param {object} body of the request @param {{n: number, sessionId?: string}} about @returns {Promise<Revocation>} */
export async function begin(body, about) {
  const { id } = await call("POST", "revocations", body);
  return { id, ...about };
}

/**
 * Asks how far it is until it has ended, then says so: the event "revocation-ended", with the ID of the only session
 * in `detail` or null.
 * @param {Revocation} revocation
 * @param {(now: object) => void} progress
 * @param {AbortSignal} [signal] ends the asking, not the revocation
 * @returns {Promise<object>} how it ended
 */
export async function follow(revocation, progress, signal) {
  for (;;) {
    const now = await patiently(revocation.id, signal);
    if (now.state !== "running") {
      dispatchEvent(new CustomEvent("revocation-ended", { detail: revocation.sessionId ?? null }));
      return now;
    }
    progress(now);
    await pause(every);
  }
}

/** While the sidecar does not answer it goes on, as far as anybody knows. */
async function patiently(id, signal) {
  for (;;) {
    try {
      return await call("GET", `revocations/${encodeURIComponent(id)}`, undefined, { signal });
    } catch (error) {
      if (error.status !== 0 && error.status !== 503) throw error;
      await pause(4 * every);
    }
  }
}

/** Makes the place for revocations at the foot of node, and looks for those that were begun before the page was loaded. */
export async function findRunning(node) {
  if (!may("delete")) return;
  strip = el("div", { id: "running", role: "region", "aria-label": "Revocations" });
  node.append(strip);
  try {
    const { revocations } = await call("GET", "revocations");
    revocations.filter((r) => r.state === "running").forEach(keepInSight);
  } catch {
    // The shell says what is wrong; there is nothing to show.
  }
}

/** Shows a revocation at the foot of the page until it has ended, and what became of it. @param {Revocation} revocation */
export async function keepInSight(revocation) {
  const said = el("span", { "aria-live": "polite" }, "");
  const bar = el("progress", { "aria-label": "Revoked so far", max: revocation.n });
  const item = el("div", { class: "item" }, el("b", null, "A revocation is running"), revocation.startedAt ? el("span", { class: "soft" }, "begun ", timeNode(revocation.startedAt)) : null, bar, said);
  strip.append(item);
  try {
    const done = await follow(revocation, progress);
    fill(item, el("b", null, done.state === "done" ? "The revocation is done" : "The revocation has failed"),
      el("button", { type: "button", class: "button little", onclick: () => show(done) }, "What became of it"),
      el("button", { type: "button", class: "button quiet little", onclick: () => item.remove() }, "Dismiss"));
  } catch {
    item.remove();
  }

  function progress(now) {
    if (revocation.n) bar.value = Math.min(revocation.n, Number(now.revoked));
    said.textContent = revocation.n ? `${Number(now.revoked).toLocaleString("en")} of ${revocation.n.toLocaleString("en")}` : `${count(now.revoked, "session")} so far`;
  }
}

function show(done) {
  const dialog = openDialog("Revocation");
  fill(dialog.body, outcome(done));
  fill(dialog.footer, el("button", { type: "button", class: "button", onclick: dialog.close }, "Close"));
}

function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
