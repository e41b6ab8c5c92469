// The console: sign-in, top bar, views.

import { account } from "./shell/account.js";
import { call, on } from "./shell/api.js";
import { reach } from "./shell/banner.js";
import { el, fill, icon } from "./shell/dom.js";
import { openHelp } from "./shell/help.js";
import { addKeys } from "./shell/keys.js";
import { me, setMe } from "./shell/me.js";
import { failure } from "./shell/notice.js";
import { go, lastHash, setTitle, start, stop } from "./shell/router.js";
import { signIn } from "./shell/signin.js";
import { onTheme, switchTheme, theme } from "./shell/theme.js";
import { mountHealth } from "./live/healthstrip.js";
import { liveView } from "./live/live.js";
import { anyRunning, findRunning } from "./revoke/running.js";
import { sessionsView } from "./sessions/sessions.js";
import { verifyView } from "./verify/verify.js";

const app = document.getElementById("app");
const names = [["live", "Live"], ["sessions", "Sessions"], ["verify", "Verify"]];
let unmountHealth = null;
let asksForKey = false; // whether the sign-in is on the screen
let forgetTheme = null;

on.reach = reach;
on.signedOut = () => {
  if (asksForKey) return; // A late answer to what was asked before.
  const why = me() && `Your sign-in has ended: it was not used for 30 minutes or is 12 hours old, the key was removed, or the sidecar was started again. ${anyRunning() ? "If it was started again, that has cut off the revocation that ran: sign in to see." : "Nothing was lost: you come back to where you were."}`;
  close();
  askForKey(why);
};

addKeys("Everywhere", [
  { keys: "g l", says: "Live", run: () => go(lastHash("live")) },
  { keys: "g s", says: "Sessions", run: () => go(lastHash("sessions")) },
  { keys: "g v", says: "Verify", run: () => go(lastHash("verify")) },
  { keys: "t", says: "Light or dark", run: switchTheme },
  { keys: "?", says: "These keys", run: openHelp },
]);

/** Asks who is signed in; without an answer it asks again once the sidecar is back. */
async function boot() {
  try {
    open(await call("GET", "me"));
  } catch (error) {
    if (error.status === 401) return;
    fill(app, el("main", { class: "signin" }, failure(error, { again: boot, signal: new AbortController().signal })));
  }
}

/** @param {string|null} why */
function askForKey(why) {
  asksForKey = true;
  setTitle("Sign in");
  fill(app, signIn(why, open));
}

function open(answer) {
  asksForKey = false;
  setMe(answer);
  const main = el("main", { id: "main", tabindex: "-1" });
  const links = names.map(([name, label]) => el("a", { href: `#/${name}` }, label));
  const health = el("div", { id: "health" });
  fill(app,
    el("header", { id: "topbar" },
      el("a", { class: "brand", href: "#/live", "aria-label": "Cloakroom: live" }, icon("hanger"), el("span", null, "Cloakroom")),
      el("nav", { "aria-label": "Views" }, links),
      health,
      el("div", { class: "tools" }, themeButton(),
        el("button", { type: "button", class: "button quiet square", title: "Keys (?)", "aria-label": "Keys", onclick: openHelp }, icon("help")),
        account(signOut))),
    main);
  unmountHealth = mountHealth(health);
  findRunning(app);
  start(main, { live: liveView, sessions: sessionsView, verify: verifyView }, (shown) => {
    names.forEach(([name], i) => {
      links[i].setAttribute("href", lastHash(name));
      if (name === shown) links[i].setAttribute("aria-current", "page");
      else links[i].removeAttribute("aria-current");
    });
  });
}

function close() {
  unmountHealth?.();
  unmountHealth = null;
  forgetTheme?.();
  stop();
  setMe(null);
  for (const dialog of document.querySelectorAll("dialog")) dialog.close();
}

async function signOut() {
  try {
    await call("POST", "sign-out");
  } catch (error) {
    if (error.status !== 401) return; // The banner says it.
  }
  close();
  askForKey(null);
}

function themeButton() {
  const button = el("button", { type: "button", class: "button quiet square", title: "Light or dark (t)", onclick: switchTheme });
  const draw = () => {
    button.setAttribute("aria-label", theme() === "dark" ? "Light theme" : "Dark theme");
    fill(button, icon(theme() === "dark" ? "sun" : "moon"));
  };
  draw();
  forgetTheme = onTheme(draw);
  return button;
}

boot();
