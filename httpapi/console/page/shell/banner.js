// The banner while the sidecar does not answer. It asks every two seconds, and goes by itself.

import { call } from "./api.js";
import { el, fill, icon } from "./dom.js";

let timer = 0;

/** @param {boolean} answers */
export function reach(answers) {
  const banner = document.getElementById("banner");
  if (answers) {
    clearTimeout(timer);
    if (timer) dispatchEvent(new Event("sidecar-back"));
    timer = 0;
    fill(banner);
    return;
  }
  if (!banner.hasChildNodes()) fill(banner, icon("wifi"), el("span", null, "The sidecar does not answer. Trying again…"));
  clearTimeout(timer);
  timer = setTimeout(() => call("GET", "me").catch(() => {}), 2000);
}
