// A chart of the last five minutes: title, newest figure, plot, legend. Its size and that of its parts never change with the numbers.

import { el } from "../shell/dom.js";
import { colour, onTheme } from "../shell/theme.js";
import uPlot from "../vendor/uPlot.esm.js";
import { kept } from "./livestore.js";
import { axis, bounded } from "./scale.js";
import { write } from "./write.js";

/**
 * @typedef {object} Line
 * @property {string} series its name in the store
 * @property {string} label
 * @property {string} colour a token
 * @property {number[]} [dash] tells it from others without colour
 * @property {boolean} [strip] drawn below the others on a scale of its own, so that few are seen beside many
 * @property {boolean} [area] filled
 * @property {(n: number, store: object) => boolean} [alarm] whether the value is bad
 * @property {(n: number|null) => string} [format] if it is another one than the chart's
 * @property {(n: number) => string} [axis] of the highest value of a strip
 *
 * @typedef {object} Spec
 * @property {string} title
 * @property {string} unit
 * @property {(n: number|null) => string} format of a value
 * @property {(store: object) => string} figure the newest value
 * @property {boolean} [large] the figure is
 * @property {(store: object) => string|false} [old] of when the figure is, if it is not of now
 * @property {Line[]} lines
 * @property {import("./scale.js").Range} [range] from 0 if left out
 * @property {(store: object) => {value: number, label: string}|null} [bound] a line that should not be reached
 * @property {(store: object) => string} empty why there is nothing to draw
 */

const minutes = [-240, -180, -120, -60];
const plotHeight = 140; // as in styles/live.css
const summaryEvery = 15; // updates: what is read out must not change all the time

const palette = new Map();
onTheme(() => palette.clear());

function paint(token, alpha = 1) {
  if (!palette.has(token)) palette.set(token, colour(token));
  return alpha === 1 ? palette.get(token) : palette.get(token).replace("rgb(", "rgba(").replace(")", `, ${alpha})`);
}

export class Chart {
  #spec;
  #group;
  #plot = null;
  #store = null;
  #updates = 0;
  #dates = [];
  #figure = el("span", { class: "figure" });
  #at = el("span", { class: "at", "aria-hidden": "true" });
  #unit;
  #box;
  #empty = el("p", { class: "none", hidden: true });
  #summary = el("p", { class: "unseen" });
  #values;
  #watch = new ResizeObserver(([entry]) => this.#fit(Math.floor(entry.contentRect.width)));

  /** @param {Spec} spec @param {string} group charts of one group share their cursor */
  constructor(spec, group) {
    this.#spec = spec;
    this.#group = group;
    this.#box = el("div", {
      class: "plot", tabindex: "0", role: "slider", "aria-label": `${spec.title}: values at a time; arrow keys move it`,
      "aria-valuemin": String(-kept), "aria-valuemax": "0", "aria-valuenow": "0", "aria-valuetext": "newest",
      onkeydown: (event) => this.#key(event), onblur: () => this.#leave(),
    }, this.#empty, this.#at);
    this.#unit = el("small", null, spec.unit);
    this.#values = spec.lines.map(() => el("dd"));
    this.node = el("figure", { class: spec.large ? "chart card large" : "chart card" },
      el("figcaption", null, el("h3", null, spec.title, " ", this.#unit), this.#figure),
      this.#box,
      el("dl", { class: "legend" }, spec.lines.map((line, i) => el("div", null, el("dt", null, swatch(line), line.label), this.#values[i]))),
      this.#summary);
    this.#watch.observe(this.#box);
  }

  /** Draws what the store has. */
  update(store) {
    this.#store = store;
    const times = store.times();
    const data = this.#spec.lines.map((line) => store.series(line.series));
    this.#dates = times;
    this.#plot?.setData([times, ...data]);
    const isEmpty = data.every((values) => values.every((value) => value === null));
    this.#empty.hidden = !isEmpty;
    if (isEmpty) write(this.#empty, this.#spec.empty(store));
    write(this.#figure, this.#spec.figure(store));
    const old = this.#spec.old?.(store) || "";
    this.node.classList.toggle("old", old !== "");
    write(this.#unit, old || this.#spec.unit);
    this.#legend();
    if (this.#updates++ % summaryEvery === 0) write(this.#summary, this.#inWords(data));
  }

  /** Draws it again, in the colours of another theme. */
  redraw() {
    this.#plot?.redraw(false);
  }

  /** Gives up what the browser holds for it; update() and a place to draw bring it back. */
  close() {
    this.#watch.disconnect();
    this.#plot?.destroy();
    this.#plot = null;
  }

  open() {
    this.#watch.observe(this.#box);
  }

  #fit(width) {
    if (width < 40 || width === this.#plot?.width) return;
    if (this.#plot) {
      this.#plot.setSize({ width, height: plotHeight });
      return;
    }
    this.#plot = new uPlot(this.#options(width), [[], ...this.#spec.lines.map(() => [])], this.#box);
    if (this.#store) this.update(this.#store);
  }

  #options(width) {
    const spec = this.#spec;
    const { range, splits, labels } = axis(spec);
    const faint = () => paint("--ink-faint");
    const grid = { stroke: () => paint("--line"), width: 1 };
    const font = "11px system-ui, sans-serif";
    return {
      width, height: plotHeight, ms: 1, padding: [6, 6, 0, 0], legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6, width: 0 }, sync: { key: this.#group, setSeries: false } },
      scales: {
        x: { time: false, range: () => [(this.#dates.at(-1) ?? 0) - kept + 1, this.#dates.at(-1) ?? 0] },
        y: { range: (u, low, high) => range(u, low, high, this.#limit()?.value ?? 0) },
        strip: { range: (u, low, high) => bounded.strip(high) },
      },
      axes: [
        { size: 20, gap: 3, font, stroke: faint, grid, ticks: { show: false }, splits: (u) => minutes.map((s) => u.scales.x.max + s), values: () => minutes.map((s) => `${s / 60} min`.replace("-", "−")) },
        { scale: "y", size: 52, gap: 6, font, stroke: faint, grid, ticks: { show: false }, splits, values: labels },
      ],
      series: [{}, ...spec.lines.map((line) => ({
        scale: line.strip ? "strip" : "y", width: line.area || line.strip ? 1.5 : 1.75, dash: line.dash,
        stroke: () => paint(line.colour), fill: line.area || line.strip ? () => paint(line.colour, line.strip ? 0.25 : 0.1) : undefined,
        points: { show: true, size: 4, filter: lonely, stroke: () => paint(line.colour), fill: () => paint(line.colour) },
      }))],
      hooks: { setCursor: [() => this.#legend()], draw: [(u) => this.#drawLimit(u)] },
    };
  }

  #limit() {
    return this.#store && this.#spec.bound?.(this.#store);
  }

  #drawLimit(u) {
    const limit = this.#limit();
    if (!limit) return;
    const ratio = devicePixelRatio;
    const y = Math.round(u.valToPos(limit.value, "y", true));
    const { ctx, bbox } = u;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = paint("--bad");
    ctx.lineWidth = ratio;
    ctx.setLineDash([4 * ratio, 4 * ratio]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.font = `${11 * ratio}px system-ui, sans-serif`;
        ctx.textAlign = "left";
    ctx.textBaseline = "bottom";
    ctx.fillText(limit.label, bbox.left + 4 * ratio, y - 2 * ratio);
    ctx.restore();
  }

  /** The index of the point under the cursor; null while there is none. */
  get #index() {
    return this.#plot && this.#plot.cursor.left >= 0 ? this.#plot.cursor.idx ?? null : null;
  }

  #legend() {
    if (!this.#store) return;
    const index = this.#index;
    write(this.#at, index === null || this.#dates[index] === undefined ? "" : clock(this.#dates[index]));
    this.#spec.lines.forEach((line, i) => {
      const value = this.#valueAt(line, index);
      write(this.#values[i], (line.format ?? this.#spec.format)(value));
      this.#values[i].classList.toggle("alarm", value !== null && Boolean(line.alarm?.(value, this.#store)));
    });
  }

  #valueAt(line, index) {
    return index === null ? this.#store.newest(line.series) : this.#store.series(line.series)[index] ?? null;
  }

  #key(event) {
    const by = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -30, PageUp: 30, Home: -kept, End: kept }[event.key];
    if (event.key === "Escape") this.#leave();
    if (by === undefined || !this.#plot || this.#dates.length === 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const last = this.#dates.length - 1;
    const index = Math.min(last, Math.max(0, (this.#index ?? last) + by));
    this.#plot.setCursor({ left: this.#plot.valToPos(this.#dates[index], "x"), top: 0 }, true, true);
    const values = this.#spec.lines.map((line) => `${line.label} ${(line.format ?? this.#spec.format)(this.#valueAt(line, index))}`);
    this.#box.setAttribute("aria-valuenow", String(Math.round(this.#dates[index] - this.#dates[last])));
    this.#box.setAttribute("aria-valuetext", `${clock(this.#dates[index])}: ${values.join(", ")}`);
  }

  #leave() {
    this.#plot?.setCursor({ left: -10, top: -10 }, true, true);
  }

  #inWords(data) {
    const texts = this.#spec.lines.map((line, i) => {
      const known = data[i].filter((value) => value !== null);
      const format = line.format ?? this.#spec.format;
      if (known.length === 0) return `${line.label}: nothing`;
      return `${line.label}: now ${format(data[i].at(-1))}, at least ${format(Math.min(...known))}, at most ${format(Math.max(...known))}`;
    });
    return `${this.#spec.title} ${this.#spec.unit}, last five minutes. ${texts.join(". ")}.`;
  }
}

/** Points without a neighbour, which a line alone would not show. */
function lonely(u, seriesIndex, show, gaps) {
  const values = u.data[seriesIndex];
  const found = [];
  for (let i = 0; i < values.length; i++) {
    if (values[i] !== null && (values[i - 1] ?? null) === null && (values[i + 1] ?? null) === null) found.push(i);
  }
  return found;
}

function swatch(line) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "swatch");
  svg.setAttribute("viewBox", "0 0 18 8");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", "M0 4h18");
  path.setAttribute("stroke-dasharray", line.dash?.join(" ") ?? "none");
  path.style.setProperty("stroke", `var(${line.colour})`);
  svg.append(path);
  return svg;
}

/** The time of day here, of Unix time in seconds. */
function clock(time) {
  return new Date(time * 1000).toTimeString().slice(0, 8);
}
