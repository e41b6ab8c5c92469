// The health of the sidecar in the top bar, whatever view is shown.

import { el, fill, icon } from "../shell/dom.js";
import { glance } from "./glance.js";
import { poll } from "./livesource.js";

const icons = { first: "clock", good: "tick", warn: "warn", bad: "stop", old: "wifi" };

/** @param {HTMLElement} slot @returns {() => void} ends it */
export function mountHealth(slot) {
  const mark = el("span", { class: "mark" });
  const title = el("span", { class: "cut" });
  const age = el("span", { class: "age" });
  const link = el("a", { class: "strip", href: "#/live" }, mark, title, age);
  const heard = el("span", { class: "unseen", role: "status" });
  fill(slot, link, heard);
  let said = "";
  const end = poll.subscribe(show);
  function show() {
    const { state, title: text, age: old } = glance(poll);
    age.textContent = old && `last picture ${old} ago`;
    const now = `${state} ${text}`;
    if (now === said) return;
    said = now;
    link.dataset.state = state;
    fill(mark, icon(icons[state]));
    title.textContent = text;
    link.title = text;
    heard.textContent = text; // The age is left out: it would be read out each second.
  }
  show();
  poll.start();
  return () => {
    end();
    poll.stop();
    slot.replaceChildren();
  };
}
