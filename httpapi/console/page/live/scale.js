// Where values are drawn: round ends that rarely change, and a strip below for what is rare.

import { short } from "./figures.js";

/** @typedef {"zero"|"share"|"bound"} Range zero: from 0; share: up to 1, from 0.9, 0.5 or 0; bound: from 0, beyond the bound */

const strip = 0.24; // share of the height
const gap = 0.14; // between strip and the lines above
const below = (strip + gap) / (1 - strip - gap);
const steps = [1, 1.5, 2, 3, 4, 5, 6, 8, 10];

/** @returns {number} the next round number, at least `least` */
export function round(value, least = 0) {
  const goal = Math.max(value, least);
  if (!(goal > 0)) return 1;
  const size = 10 ** Math.floor(Math.log10(goal));
  return size * steps.find((step) => step * size >= goal * 0.9999);
}

export const bounded = {
  zero: (low, high) => [0, round(high ?? 0)],
  share: (low) => [low === null || low >= 0.9 ? 0.9 : low >= 0.5 ? 0.5 : 0, 1],
  bound: (low, high, bound) => [0, round(Math.max(high ?? 0, bound * 1.25))],
  strip: (high) => [0, round(high ?? 0, 1) / strip],
};

/**
 * The scale of a chart's lines: its range and the texts beside it, which are those of the strip, too.
 * @param {import("./chart.js").Spec} spec
 */
export function axis(spec) {
  const hasStrip = spec.lines.some((line) => line.strip);
  const rangeOf = bounded[spec.range ?? "zero"];
  const stripFormat = spec.lines.find((line) => line.strip)?.axis ?? short;
  return {
    range(u, low, high, bound) {
      const [from, to] = rangeOf(low, high, bound);
      return hasStrip ? [from - (to - from) * below, to] : [from, to];
    },
    splits(u) {
      const { min, max } = u.scales.y;
      const bottom = hasStrip ? min + (max - min) * (strip + gap) : min;
      const lines = [bottom, (bottom + max) / 2, max].map((value) => Math.round((value / max) * 1e6) * (max / 1e6)); // Halves of round numbers, not almost.
      return hasStrip ? [min, min + (max - min) * strip, ...lines] : lines;
    },
    labels(u, splits) {
      const texts = splits.map((value) => spec.format(Number(value.toPrecision(6))));
      if (hasStrip) texts.splice(0, 2, "", stripFormat(u.scales.strip.max * strip));
      return texts;
    },
  };
}
