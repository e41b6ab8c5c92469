// How figures of the live view are written, and the ends of their scales.
import assert from "node:assert/strict";
import { test } from "node:test";
import { pageModule } from "./page.mjs";

const figures = await pageModule("live/figures.js");
const { axis, bounded, round } = await pageModule("live/scale.js");

test("figures are short, and have a unit", () => {
  const cases = [
    [figures.count, ["12345", "12,345"], [0, "0"]],
    [figures.short, [999, "999"], [1234, "1.2k"], [12_345, "12k"], [1_234_567, "1.2M"], [7500, "7.5k"]],
    [figures.rate, [0, "0"], [0.001, "<0.01"], [0.024, "0.02"], [3.21, "3.2"], [48.3, "48"], [3412.4, "3,412"]],
    [figures.millis, [0, "0 ms"], [0.00089, "0.89 µs"], [0.012, "12 µs"], [0.423, "0.42 ms"], [2.13, "2.1 ms"], [102, "102 ms"], [1234, "1.2 s"]],
    [figures.seconds, [1, "1 s"], [0.12, "120 ms"]],
    [figures.percent, [1, "100 %"], [0.99996, "99.9 %"], [0.95, "95 %"]],
    [figures.bytes, [640, "640 B"], [3456, "3.38 KiB"], [31e6, "29.6 MiB"]],
  ];
  for (const [write, ...examples] of cases) {
    for (const [value, text] of examples) assert.equal(write(value), text, `${write.name}(${value})`);
    for (const nothing of [null, undefined, "", NaN]) assert.equal(write(nothing), "–", `${write.name}(${nothing})`);
  }
});

test("a scale ends on a round number that is not below the highest value", () => {
  for (let value = 0.0013; value < 1e7; value *= 1.07) {
    const end = round(value);
    assert.ok(end >= value * 0.999 && end <= value * 1.6, `${value}: ${end}`);
  }
  assert.deepEqual([round(0), round(0, 1), round(1), round(1.2)], [1, 1, 1, 1.5]);
});

test("a share has its scale up to 100 percent, a bound is always seen", () => {
  assert.deepEqual([bounded.share(0.97), bounded.share(0.7), bounded.share(0.2), bounded.share(null)], [[0.9, 1], [0.5, 1], [0, 1], [0.9, 1]]);
  assert.ok(bounded.bound(0, 0.1, 1)[1] > 1);
});

test("the strip is below the lines, and has a text of its own", () => {
  const { range, splits, labels } = axis({ format: figures.short, lines: [{}, { strip: true }] });
  const [min, max] = range(null, 0, 3100, 0);
  const u = { scales: { y: { min, max }, strip: { max: bounded.strip(1700)[1] } } };
  const at = splits(u);
  assert.ok(min < 0 && at[1] < 0, "the strip ends below 0");
  assert.deepEqual(labels(u, at), ["", "2k", "0", "2k", "4k"]);
});
