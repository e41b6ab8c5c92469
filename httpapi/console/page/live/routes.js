// Requests by route and status. A route keeps its place; a status that comes later joins its route.

import { el } from "../shell/dom.js";
import { count, millis, rate } from "./figures.js";
import { write } from "./write.js";

const heads = [["Route", ""], ["p50", "number extra"], ["p99", "number"], ["Status", "number"], ["per s", "number"], ["Total", "number extra"]];

export class Routes {
  #routes = new Map();
  #table = el("table", { class: "routes" },
    el("caption", { class: "unseen" }, "Requests by route and status"),
    el("thead", null, el("tr", null, heads.map(([head, kind]) => el("th", { scope: "col", class: kind || null }, head)))));
  #empty = el("p", { class: "none" }, "No requests since the process started.");
  #scroller = el("div", { class: "scroller" }, this.#table);

  node = el("section", { class: "card figures wide" },
    el("header", null, el("h3", null, "Requests ", el("small", null, "by route and status, over the last 10 s"))), this.#scroller, this.#empty);

  /** @param {object[]} routes as in the answer; when the view is new those that are asked most come first */
  update(routes) {
    const known = this.#routes.size > 0;
    const sorted = known ? routes : [...routes].sort((a, b) => total(b) - total(a));
    const gone = new Set(this.#routes.keys());
    for (const route of sorted) {
      const key = `${route.protocol} ${route.route}`;
      gone.delete(key);
      if (!this.#routes.has(key)) this.#routes.set(key, this.#add(route));
      this.#fill(this.#routes.get(key), route);
    }
    for (const key of gone) {
      this.#routes.get(key).body.remove();
      this.#routes.delete(key);
    }
    this.#scroller.hidden = routes.length === 0;
    this.#empty.hidden = routes.length > 0;
  }

  #add({ route, protocol }) {
    const [, method, path] = /^([A-Z]+) (\/.*)$/.exec(route) ?? [null, "", route === "none" ? "no such route" : route];
    const name = el("th", { scope: "rowgroup", class: "words" }, method && el("span", { class: "method" }, method, " "), path.split(/(?<=[/.])/).map((part) => [part, el("wbr")]), !["http", "none"].includes(protocol) && el("span", { class: "tag" }, protocol));
    const entry = { body: el("tbody"), name, p50: el("td", { class: "number extra" }), p99: el("td", { class: "number" }), statuses: new Map() };
    this.#table.append(entry.body);
    return entry;
  }

  #fill(entry, route) {
    for (const status of Object.keys(route.totals).sort()) {
      if (!entry.statuses.has(status)) entry.statuses.set(status, this.#addStatus(entry, status));
      const cells = entry.statuses.get(status);
      const perSecond = route.rates[status] ?? 0;
      write(cells.rate, rate(perSecond));
      cells.rate.classList.toggle("dim", perSecond === 0);
      cells.status.classList.toggle("now", perSecond > 0);
      write(cells.total, count(route.totals[status]));
    }
    write(entry.p50, millis(route.p50));
    write(entry.p99, millis(route.p99));
  }

  #addStatus(entry, status) {
    const cells = { status: el("span", { class: `status s${status[0]}` }, status), rate: el("td", { class: "number" }), total: el("td", { class: "number soft extra" }) };
    const isFirst = entry.statuses.size === 0;
    entry.body.append(el("tr", null, isFirst && [entry.name, entry.p50, entry.p99], el("td", { class: "number" }, cells.status), cells.rate, cells.total));
    for (const cell of [entry.name, entry.p50, entry.p99]) cell.rowSpan = entry.statuses.size + 1;
    return cells;
  }
}

function total(route) {
  return Object.values(route.totals).reduce((sum, n) => sum + Number(n), 0);
}
