// The live view: what is wrong, what to do, and the last five minutes.

import { el } from "../shell/dom.js";
import { setTitle } from "../shell/router.js";
import { onTheme } from "../shell/theme.js";
import { Chart } from "./chart.js";
import { charts, zitadelChart } from "./charts.js";
import { Expiries } from "./expiries.js";
import { Health } from "./health.js";
import { poll } from "./livesource.js";
import { tables } from "./tables.js";

let views = 0;

/** @returns {import("../shell/router.js").View} */
export function liveView() {
  const group = `live ${views++}`;
  const health = new Health();
  const drawn = charts.map((spec) => new Chart(spec, group));
  const expiries = new Expiries();
  const listed = tables();
  const grid = el("div", { class: "charts" }, drawn.map((chart) => chart.node), expiries.node);
  const main = el("div", { class: "picture" }, grid, listed.node);
  const node = el("section", { class: "live", "aria-label": "Live" }, el("h1", { class: "unseen" }, "Live"), health.node, main);
  let ends = [];

  function update() {
    node.dataset.standing = poll.standing;
    health.update(poll);
    const { store } = poll;
    if (!store.latest || poll.standing !== "live") return;
    if (store.has("upstream.calls") && drawn.length === charts.length) addZitadel();
    for (const chart of drawn) chart.update(store);
    expiries.update(store.latest.sessions);
    listed.update(store.latest);
  }

  function addZitadel() {
    drawn.push(new Chart(zitadelChart, group));
    expiries.node.before(drawn.at(-1).node);
  }

  return {
    node,
    show() {
      setTitle("Live");
      if (ends.length > 0) return;
      for (const chart of drawn) chart.open();
      ends = [poll.subscribe(update), onTheme(() => drawn.forEach((chart) => chart.redraw()))];
      update();
    },
    hide() {
      for (const end of ends) end();
      ends = [];
      for (const chart of drawn) chart.close();
    },
  };
}
