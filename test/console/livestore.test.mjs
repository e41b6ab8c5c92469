// What the page keeps of live answers.
import assert from "node:assert/strict";
import { test } from "node:test";
import { pageModule } from "./page.mjs";

const { kept, LiveStore } = await pageModule("live/livestore.js");

const zero = Date.parse("2026-01-01T00:00:00Z");
const second = (n) => new Date(zero + n * 1000).toISOString();

/** An answer with the points from…seq, each with its number as its value, asked for at second `at`. */
function answer(from, seq, at = seq, more = {}) {
  const points = Array.from({ length: Math.max(0, seq - from + 1) }, (_, i) => from + i);
  return { now: second(at), startedAt: "first", every: 1, from, seq, series: { points }, latest: { at }, health: [], ...more };
}

test("points follow each other, one second apart, and the oldest go", () => {
  const store = new LiveStore();
  assert.equal(store.take(answer(1, kept), null, 1), "first");
  assert.equal(store.take(answer(kept + 1, kept + 2), kept, 2), "more");
  assert.equal(store.seq, kept + 2);
  assert.deepEqual([store.series("points").length, store.series("points")[0], store.newest("points")], [kept, 3, kept + 2]);
  assert.deepEqual(steps(store), [1]);
});

test("an answer that comes a little early or late leaves points one second apart", () => {
  const store = new LiveStore();
  store.take(answer(1, 10), null, 1);
  store.take(answer(11, 11, 11.9), 10, 2);
  store.take(answer(12, 12, 11.4), 11, 3);
  assert.deepEqual(steps(store), [1]);
});

test("a point that is sent again is not kept twice", () => {
  const store = new LiveStore();
  store.take(answer(1, 5), null, 1);
  store.take(answer(3, 6), 2, 2);
  assert.deepEqual(store.series("points"), [1, 2, 3, 4, 5, 6]);
  store.take(answer(7, 6), 6, 3);
  assert.deepEqual(store.series("points"), [1, 2, 3, 4, 5, 6]);
});

test("time without points is a gap in every series", () => {
  const store = new LiveStore();
  store.take(answer(1, 5), null, 1);
  store.take(answer(6, 7, 60), 5, 2);
  assert.deepEqual(store.series("points"), [1, 2, 3, 4, 5, null, 6, 7]);
  assert.equal(store.times().at(-1), zero / 1000 + 60);
});

test("a clock that is set back moves the old points, so that dates still rise", () => {
  const store = new LiveStore();
  store.take(answer(1, 5, 1000), null, 1);
  store.take(answer(6, 6, 10), 5, 2);
  assert.deepEqual(steps(store), [1]);
  assert.equal(store.times().at(-1), zero / 1000 + 10);
});

test("a series that comes later, or stays away, has no values meanwhile", () => {
  const store = new LiveStore();
  store.take(answer(1, 2), null, 1);
  store.take(answer(3, 3, 3, { series: { other: [7] } }), 2, 2);
  assert.deepEqual(store.series("points"), [1, 2, null]);
  assert.deepEqual(store.series("other"), [null, null, 7]);
  assert.deepEqual(store.series("never sent"), [null, null, null]);
  assert.deepEqual([store.has("other"), store.has("never sent")], [true, false]);
});

test("another process begins anew: its points after a number of the old one are asked for again", () => {
  const store = new LiveStore();
  store.take(answer(1, 50), null, 1);
  assert.equal(store.take(answer(51, 52, 60, { startedAt: "second" }), 50, 2), "anew");
  assert.deepEqual([store.seq, store.series("points")], [null, []]);
  assert.equal(store.take(answer(1, 52, 60, { startedAt: "second" }), null, 3), "more");
  assert.deepEqual([store.series("points").length, store.newest("points")], [52, 52]);
});

test("the age is that of the newest answer", () => {
  const store = new LiveStore();
  assert.equal(store.age(5), null);
  store.take(answer(1, 1), null, 1000);
  assert.equal(store.age(13_000), 12_000);
});

/** The distances between dates, each once. */
function steps(store) {
  const times = store.times();
  return [...new Set(times.slice(1).map((time, i) => Math.round((time - times[i]) * 1000) / 1000))];
}
