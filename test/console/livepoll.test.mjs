// When the page asks for live data, and what it makes of no answer.
import assert from "node:assert/strict";
import { test } from "node:test";
import { pageModule } from "./page.mjs";

const { LivePoll } = await pageModule("live/livepoll.js");

/** A poll in a time of its own, and a server that answers as `server.answer` does. */
function world() {
  const timers = new Map();
  const w = { now: 0, asked: [], hidden: false, told: 0, startedAt: "first", answer: async () => picture(w), news: [] };
  let id = 0;
  const clock = {
    now: () => w.now,
    setTimeout: (run, ms) => (timers.set(++id, { at: w.now + ms, run }), id),
    clearTimeout: (timer) => timers.delete(timer),
  };
  w.poll = new LivePoll((after, signal) => {
    w.asked.push({ at: w.now, after });
    return w.answer(signal);
  }, { clock, isHidden: () => w.hidden });
  w.poll.subscribe(() => w.told++);
  /** Lets time pass: timers run when they are due, and what they began goes on. */
  w.pass = async (ms) => {
    const end = w.now + ms;
    for (await settled(); ; await settled()) {
      const due = [...timers].filter(([, timer]) => timer.at <= end).sort(([, a], [, b]) => a.at - b.at)[0];
      if (!due) break;
      timers.delete(due[0]);
      w.now = due[1].at;
      due[1].run();
    }
    w.now = end;
  };
  w.times = () => w.asked.map(({ at }) => at);
  return w;
}

function picture(w) {
  const seq = 100 + Math.floor(w.now / 1000);
  return { now: new Date(w.now).toISOString(), startedAt: w.startedAt, every: 1, from: seq, seq, series: {}, latest: {}, health: [] };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));
const noAnswer = () => Promise.reject(Object.assign(new Error("The sidecar does not answer."), { status: 0 }));
const never = (signal) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));

test("it asks each second for what came after the newest point", async () => {
  const w = world();
  w.poll.start();
  await w.pass(3500);
  assert.deepEqual(w.asked, [{ at: 0, after: null }, { at: 1000, after: 100 }, { at: 2000, after: 101 }, { at: 3000, after: 102 }]);
  assert.equal(w.poll.standing, "live");
});

test("hidden it asks each ten seconds, and at once when it is shown", async () => {
  const w = world();
  w.hidden = true;
  w.poll.start();
  await w.pass(25_000);
  assert.deepEqual(w.times(), [0, 10_000, 20_000]);
  w.hidden = false;
  w.poll.hurry();
  await w.pass(1500);
  assert.deepEqual(w.times().slice(3), [25_000, 26_000]);
});

test("one request waits for the one before, and is given up after four seconds", async () => {
  const w = world();
  w.poll.start();
  await w.pass(500);
  w.answer = never;
  await w.pass(4000);
  w.poll.hurry();
  assert.deepEqual(w.times(), [0, 1000]);
  await w.pass(1000);
  assert.equal(w.poll.error, "No answer within 4 seconds.");
});

test("without an answer it asks less often, at least each five seconds, and tells each second how old the picture is", async () => {
  const w = world();
  w.poll.start();
  await w.pass(500);
  w.answer = noAnswer;
  await w.pass(30_000);
  assert.deepEqual(w.times(), [0, 1000, 2000, 4000, 8000, 13_000, 18_000, 23_000, 28_000]);
  assert.deepEqual([w.poll.standing, w.poll.age, w.poll.error], ["silent", 30_500, "The sidecar does not answer."]);
  const before = w.told;
  await w.pass(2000);
  assert.equal(w.told - before, 2);
});

test("one lost answer is no silence", async () => {
  const w = world();
  w.poll.start();
  await w.pass(500);
  w.answer = noAnswer;
  await w.pass(700);
  w.answer = async () => picture(w);
  await w.pass(1000);
  assert.deepEqual([w.poll.standing, w.poll.news], ["live", null]);
});

test("it says that answers come again, and after a while no more", async () => {
  const w = world();
  w.poll.start();
  await w.pass(500);
  w.answer = noAnswer;
  await w.pass(12_000);
  w.answer = async () => picture(w);
  await w.pass(5000);
  assert.deepEqual([w.poll.standing, w.poll.news], ["live", { what: "back", silence: 13_000 }]);
  await w.pass(20_000);
  assert.equal(w.poll.news, null);
});

test("another process is asked for all it has at once, and the page says so", async () => {
  const w = world();
  w.poll.start();
  await w.pass(500);
  w.startedAt = "second";
  await w.pass(600);
  assert.deepEqual(w.asked, [{ at: 0, after: null }, { at: 1000, after: 100 }, { at: 1000, after: null }]);
  assert.equal(w.poll.news.what, "restarted");
});

test("it asks no more when the sign-in has ended, and forgets what came", async () => {
  const w = world();
  w.poll.start();
  await w.pass(500);
  w.answer = () => Promise.reject(Object.assign(new Error("ended"), { status: 401 }));
  await w.pass(20_000);
  assert.deepEqual(w.times(), [0, 1000]);
  assert.deepEqual([w.poll.standing, w.poll.store.latest], ["first", null]);
});

test("a request under way when it stops changes nothing", async () => {
  const w = world();
  let answerIt;
  w.answer = () => new Promise((resolve) => (answerIt = resolve));
  w.poll.start();
  await w.pass(100);
  w.poll.stop();
  w.answer = async () => picture(w);
  w.poll.start();
  await w.pass(100);
  answerIt({ ...picture(w), startedAt: "late" });
  await w.pass(100);
  assert.equal(w.poll.store.startedAt, "first");
});

test("a listener that fails ends neither the polls nor the other listeners", async (t) => {
  const w = world();
  const reported = t.mock.method(console, "error", () => {});
  w.poll.subscribe(() => {
    throw new Error("a view that fails");
  });
  let heard = 0;
  w.poll.subscribe(() => heard++);
  w.poll.start();
  await w.pass(2500);
  assert.deepEqual([w.times(), heard, reported.mock.callCount()], [[0, 1000, 2000], 3, 3]);
});
