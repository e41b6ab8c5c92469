// Revocations under way. They run in the sidecar: after a reload of the page they are found again.

import { call } from "../shell/api.js";
import { openDialog } from "../shell/dialog.js";
import { el, fill } from "../shell/dom.js";
import { count, may } from "../shell/me.js";
import { timeNode } from "../shell/time.js";
import { outcome } from "./outcome.js";

const every = 500;

/** Those that this page follows: ID → how many sessions it is about, where that is known. */
const followed = new Map();
let strip = null;

/** Begins one, of n sessions. @returns {Promise<string>} its ID */
export async function begin(body, n) {
  const { id } = await call("POST", "revocations", body);
  followed.set(id, n);
  return id;
}

/** Asks how far it is until it has ended. @returns {Promise<object>} how it ended */
export async function follow(id, progress) {
  for (;;) {
    const now = await patiently(id);
    if (now.state !== "running") {
      followed.delete(id);
      return now;
    }
    progress(now);
    await pause(every);
  }
}

/** While the sidecar does not answer it goes on, as far as anybody knows. */
async function patiently(id) {
  for (;;) {
    try {
      return await call("GET", `revocations/${encodeURIComponent(id)}`);
    } catch (error) {
      if (error.status !== 0 && error.status !== 503) throw error;
      await pause(4 * every);
    }
  }
}

/** Looks for revocations that were begun before the page was loaded, and shows each in a strip at the foot of node. */
export async function findRunning(node) {
  if (!may("delete")) return;
  strip = el("div", { id: "running", role: "region", "aria-label": "Revocations" });
  node.append(strip);
  try {
    const { revocations } = await call("GET", "revocations");
    revocations.filter((r) => r.state === "running" && !followed.has(r.id)).forEach(showStrip);
  } catch {
    // The shell says what is wrong; there is nothing to show.
  }
}

async function showStrip(found) {
  followed.set(found.id, null);
  const said = el("span", { "aria-live": "polite" }, "");
  const item = el("div", { class: "item" }, el("b", null, "A revocation is running"), el("span", { class: "soft" }, "begun ", timeNode(found.startedAt)), el("progress", { "aria-label": "Revocation" }), said);
  strip.append(item);
  try {
    const done = await follow(found.id, (now) => (said.textContent = `${count(now.revoked, "session")} so far`));
    fill(item, el("b", null, done.state === "done" ? "The revocation is done" : "The revocation has failed"),
      el("button", { type: "button", class: "button little", onclick: () => show(done) }, "What became of it"),
      el("button", { type: "button", class: "button quiet little", onclick: () => item.remove() }, "Dismiss"));
  } catch {
    item.remove();
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
