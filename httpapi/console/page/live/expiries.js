// How soon the live sessions end: a bar for each span of time. Those that never end stand apart.

import { Clock } from "../shell/clock.js";
import { el, fill } from "../shell/dom.js";
import { relative } from "../shell/time.js";
import { count, short } from "./figures.js";
import { notAll } from "./words.js";
import { write } from "./write.js";

export class Expiries {
  #unit = el("small");
  #bars = el("ol", { class: "bars" });
  #columns = [];
  #labels = "";
  #empty = el("p", { class: "none" }, "Not counted yet.");

  node = el("figure", { class: "chart card expiries" },
    el("figcaption", null, el("h3", null, "Expiries ahead ", this.#unit)),
    this.#bars, this.#empty);

  /** @param {object|null} sessions `latest.sessions` */
  update(sessions) {
    if (!sessions) {
      this.#bars.hidden = true;
      write(this.#empty, notAll);
      return;
    }
    this.#empty.hidden = sessions.known;
    this.#bars.hidden = !sessions.known;
    const isOld = sessions.known && sessions.error !== "";
    this.node.classList.toggle("old", isOld);
    write(this.#unit, isOld ? `as of ${relative(Date.parse(sessions.at), Clock.now(), true)}` : "live sessions by time left");
    if (!sessions.known) return;
    const buckets = named(sessions);
    const labels = buckets.map((bucket) => bucket.label).join();
    if (labels !== this.#labels) this.#make(buckets);
    this.#labels = labels;
    const most = Math.max(1, ...buckets.map((bucket) => bucket.count));
    buckets.forEach((bucket, i) => {
      const column = this.#columns[i];
      write(column.count, short(bucket.count));
      write(column.words, `${bucket.says}: ${count(bucket.count)}`);
      column.bar.style.setProperty("--share", String(bucket.count / most));
      column.node.classList.toggle("nobody", bucket.count === 0);
      column.node.title = `${bucket.says}: ${count(bucket.count)}`;
    });
  }

  #make(buckets) {
    this.#columns = buckets.map((bucket) => {
      const column = { count: el("span", { class: "count", "aria-hidden": "true" }), bar: el("i"), words: el("span", { class: "unseen" }) };
      column.node = el("li", { class: bucket.kind }, column.count, el("span", { class: "room" }, column.bar), el("span", { class: "label", "aria-hidden": "true" }, bucket.label), column.words);
      return column;
    });
    fill(this.#bars, this.#columns.map((column) => column.node));
  }
}

/** The buckets with their labels. The server counts in each the sessions that end within its span, and not within the one before. */
function named({ expiries, never }) {
  const buckets = [];
  let before = "";
  for (const { within, seconds, count: n } of expiries) {
    const isLast = seconds === 0;
    const says = isLast ? `later than ${before}` : before ? `${before} to ${within}` : `within ${within}`;
    buckets.push({ label: isLast ? "later" : within, says, count: Number(n), kind: isLast ? "later" : "span" });
    before = within;
  }
  buckets.push({ label: "never", says: "never", count: Number(never), kind: "never" });
  return buckets;
}
