// Revocations under way, and how they ended. They run in the sidecar: after a reload of the page they are found again.

import { call } from "../shell/api.js";
import { openDialog } from "../shell/dialog.js";
import { el, fill } from "../shell/dom.js";
import { count, may } from "../shell/me.js";
import { timeNode } from "../shell/time.js";
import { ended, outcome } from "./outcome.js";
import { asked, begun, isDismissed, notBegun, seen, unseen } from "./remembered.js";

const every = 500;
const followed = new Set(); // what is asked after at present
let strip = null;

/** Says what a 404 of a revocation means: the sidecar tells of each until an hour after its end. */
export const cutOff = "The sidecar was started again: the revocation was cut off. What was revoked stays so; count again to continue.";

/**
 * @typedef {{id: string, startedAt?: string, n?: number, sessionId?: string}} Revocation
 * n: how many sessions it is about; sessionId: the only one. Neither need be known.
 */

/** A revocation that may begin: its ID is new. @param {{n: number, sessionId?: string}} about @returns {Revocation} */
export function planned(about) {
  return { id: [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join(""), ...about };
}

/** Throws if it has not begun, or if that is not known. @param {Revocation} revocation as planned @param {object} body of the request */
export async function begin({ id, n }, body) {
  asked(id, n); // Should the answer be lost, and the page too, the next one finds it.
  try {
    await call("POST", "revocations", body, { headers: { "X-Revocation": id } });
    begun(id, n);
  } catch (error) {
    if (!mayHaveBegun(error)) notBegun(id);
    throw error;
  }
}

/** Whether an error of begin leaves open whether it has begun: no answer, one of a proxy, or one to a request that came twice. */
export function mayHaveBegun({ status, body }) {
  return status === 0 || status === 409 || body?.code === undefined;
}

/** What it means that the sidecar does not know of one that it was asked for. */
export const notKnown = "It has not begun, or was cut off when the sidecar was started again; then what was revoked stays so. If something between holds the request, it may still begin. Count again before you go on.";

/** Tells of one that the sidecar was asked for, and does not know, at the foot of the page. @param {Revocation} revocation */
export function tellNotKnown({ id }) {
  ending(item(), id, "The sidecar does not know of a revocation", notKnown);
}

/**
 * Whether it has begun: for one who has lost the answer of begin. The request itself may still lie in the sidecar's
 * queue, so it looks twice.
 * @param {Revocation} revocation
 */
export async function hasBegun({ id, n }) {
  for (const wait of [0, 2000]) {
    await pause(wait);
    try {
      await call("GET", `revocations/${id}`);
      begun(id, n);
      return true;
    } catch (error) {
      if (error.status !== 404) throw error;
    }
  }
  return false;
}

/** Whether the page follows a revocation, or does not know whether one has begun. */
export function anyRunning() {
  return followed.size > 0 || unseen().some((one) => one.asked);
}

/**
 * Asks how far it is until it has ended, then says so: the event "revocation-ended", with the ID of the only session
 * in `detail` if that was revoked, else null.
 * @param {Revocation} revocation
 * @param {(now: object) => void} progress
 * @param {AbortSignal} [signal] ends the asking, not the revocation
 * @returns {Promise<object>} how it ended
 */
export async function follow(revocation, progress, signal) {
  const mark = {};
  followed.add(mark);
  try {
    for (;;) {
      const now = await patiently(revocation.id, signal);
      if (now.state !== "running") {
        dispatchEvent(new CustomEvent("revocation-ended", { detail: (now.state === "done" && revocation.sessionId) || null }));
        return now;
      }
      progress(now);
      await pause(every);
    }
  } finally {
    followed.delete(mark);
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

/**
 * Makes the place for revocations at the foot of node, and looks for those that run, those that ended otherwise than they
 * should in the last hour, and those of this browser whose end nobody has seen.
 */
export function findRunning(node) {
  if (!may("delete")) return;
  const place = el("div", { id: "running", role: "region", "aria-label": "Revocations" });
  strip = place;
  node.append(place);
  new ResizeObserver(() => node.style.setProperty("--strip", `${place.offsetHeight && place.offsetHeight + 32}px`)).observe(place);
  look();

  async function look() {
    if (!place.isConnected) return;
    try {
      const { revocations } = await call("GET", "revocations");
      const mine = new Map(unseen().map((one) => [one.id, one]));
      for (const one of mine.values()) {
        if (revocations.some((r) => r.id === one.id)) continue;
        if (one.asked) tellNotKnown(one);
        else ending(item(), one.id, "A revocation was cut off", cutOff);
      }
      for (const r of revocations) {
        if (r.state === "running") keepInSight({ ...r, n: mine.get(r.id)?.n });
        else if (!isDismissed(r.id) && (mine.has(r.id) || isBad(r))) told(item(), r);
      }
    } catch (error) {
      if (error.status === 0) addEventListener("sidecar-back", look, { once: true });
    }
  }
}

function isBad({ state, answer }) {
  return state === "failed" || Boolean(answer?.failed || answer?.unreplicated);
}

/** Shows a revocation at the foot of the page until somebody has seen how it ended. @param {Revocation} revocation */
export async function keepInSight(revocation) {
  const said = el("span", { "aria-live": "polite" }, "");
  const bar = el("progress", { "aria-label": "Revoked so far", max: revocation.n });
  const node = item(el("b", null, "A revocation is running"), revocation.startedAt ? el("span", { class: "soft" }, "begun ", timeNode(revocation.startedAt)) : null, bar, said);
  try {
    told(node, await follow(revocation, progress));
  } catch (error) {
    if (error.status === 401) node.remove(); // It is looked for again after the next sign-in.
    else ending(node, revocation.id, error.status === 404 ? "A revocation was cut off" : "What became of a revocation is not known", error.status === 404 ? cutOff : error.message);
  }

  function progress(now) {
    if (revocation.n) bar.value = Math.min(revocation.n, Number(now.revoked));
    said.textContent = revocation.n ? `${Number(now.revoked).toLocaleString("en")} of ${revocation.n.toLocaleString("en")}` : `${count(now.revoked, "session")} so far`;
  }
}

function item(...children) {
  const node = el("div", { class: "item" }, children);
  strip.append(node);
  return node;
}

/** Says that it has ended, and leads to what became of it. */
function told(node, done) {
  ending(node, done.id, ended(done), el("button", { type: "button", class: "button little", onclick: () => show(done) }, "What became of it"));
}

function ending(node, id, title, rest) {
  fill(node, el("b", null, title), el("span", null, rest), el("button", { type: "button", class: "button quiet little", onclick: dismiss }, "Dismiss"));
  function dismiss() {
    seen(id);
    node.remove();
  }
}

function show(done) {
  const dialog = openDialog(ended(done));
  fill(dialog.body, outcome(done));
  fill(dialog.footer, el("button", { type: "button", class: "button", onclick: dialog.close }, "Close"));
}

function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
