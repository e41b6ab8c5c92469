// The banner while the sidecar does not answer: after a second try has failed, for a single one may be chance.
// It asks every two seconds, and goes by itself.

import { call } from "./api.js";
import { el, fill, icon } from "./dom.js";

const pause = 2000;

let away = false;
let triedAgain = false;
let timer = 0;

/** @param {boolean} answers */
export function reach(answers) {
  const banner = document.getElementById("banner");
  if (answers) {
    clearTimeout(timer);
    timer = 0;
    fill(banner);
    if (away) dispatchEvent(new Event("sidecar-back"));
    away = triedAgain = false;
    return;
  }
  away = true;
  if (triedAgain && !banner.hasChildNodes()) fill(banner, icon("wifi"), el("span", null, "The sidecar does not answer. Trying again…"));
  timer ||= setTimeout(again, pause);
}

function again() {
  timer = 0;
  triedAgain = true;
  call("GET", "me").catch(() => {});
}
