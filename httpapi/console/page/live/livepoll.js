// Asks for /console/api/live: each second while the page is visible, each ten seconds while it is hidden, never twice at a time.

import { LiveStore } from "./livestore.js";

const every = 1000;
const everyHidden = 10_000;
const timeout = 4000;
const longestPause = 5000;

/** The sidecar counts as silent when asking has failed and its newest answer is older than this. */
const silentAfter = 2500;

/** For how long the page says that the sidecar answers again, or has restarted. */
const newsLasts = 15_000;

const realClock = {
  now: () => Date.now(),
  setTimeout: (f, ms) => setTimeout(f, ms),
  clearTimeout: (timer) => clearTimeout(timer),
};

/**
 * Where the page stands with the sidecar:
 * - `first`: nothing has come yet (`error` says why, once asking has failed)
 * - `live`: answers come
 * - `silent`: answers came, and do not come any more
 * @typedef {"first"|"live"|"silent"} Standing
 */

export class LivePoll {
  /** @type {Standing} */
  standing = "first";
  /** Why the newest request failed; empty if it did not. */
  error = "";
  /** @type {null | {what: "back"|"restarted", silence: number}} what has just happened; `silence`: how many milliseconds nothing came before */
  news = null;

  /** Takes an answer. */
  store = new LiveStore();

  #ask;
  #clock;
  #isHidden;
  #listeners = new Set();
  #failures = 0;
  #timer = null;
  #ticker = null;
  #asking = null;
  #newsAt = 0;
  #running = false;

  /**
   * @param {(after: number|null, signal: AbortSignal) => Promise<object>} ask asks the server; fails with `status` 401 if the session has ended
   * @param {{clock?: object, isHidden?: () => boolean}} [environment] for tests: `now`, `setTimeout`, `clearTimeout`; whether the page is hidden
   */
  constructor(ask, { clock = realClock, isHidden = () => document.hidden } = {}) {
    this.#ask = ask;
    this.#clock = clock;
    this.#isHidden = isHidden;
  }

  /** @returns {number|null} milliseconds since the newest answer; null before the first */
  get age() {
    return this.store.age(this.#clock.now());
  }

  /** Calls listener(this) after each answer, and each second without one. @returns {() => void} ends that */
  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  start() {
    if (this.#running) return;
    this.#running = true;
    this.#failures = 0;
    this.#poll();
  }

  /** Asks no more, gives up a request under way, and forgets what has come: another one may sign in. */
  stop() {
    this.#running = false;
    this.#clock.clearTimeout(this.#timer);
    this.#clock.clearTimeout(this.#ticker);
    this.#asking?.abort();
    this.#asking = null;
    this.store = new LiveStore();
    this.standing = "first";
    this.error = "";
    this.news = null;
  }

  /** Asks at once, unless it is asking: for a page that becomes visible. */
  hurry() {
    if (!this.#running || this.#asking) return;
    this.#clock.clearTimeout(this.#timer);
    this.#poll();
  }

  async #poll() {
    const began = this.#clock.now();
    const asking = new AbortController();
    this.#asking = asking;
    const deadline = this.#clock.setTimeout(() => asking.abort(new DOMException(`No answer within ${timeout / 1000} seconds.`, "TimeoutError")), timeout);
    const after = this.store.seq;
    let answer, failure;
    try {
      answer = await this.#ask(after, asking.signal);
    } catch (cause) {
      failure = cause;
    }
    this.#clock.clearTimeout(deadline);
    if (this.#asking !== asking) return; // Stopped, and perhaps started again.
    this.#asking = null;
    if (!this.#running) return;
    if (failure) this.#failed(failure);
    else this.#took(answer, after);
    if (this.#running) this.#timer = this.#clock.setTimeout(() => this.#poll(), this.#pause(this.#clock.now() - began));
  }

  /** @returns {number} how long to wait after a request that took so long */
  #pause(took) {
    if (this.#failures === 0 && this.store.seq === null) return 0;
    const period = this.#isHidden() ? everyHidden : Math.min(every * 2 ** Math.max(0, this.#failures - 1), longestPause);
    return Math.max(every / 4, period - took);
  }

  #took(answer, after) {
    const silence = this.age;
    const what = this.store.take(answer, after, this.#clock.now());
    if (what === "anew") this.#announce("restarted", silence);
    else if (this.standing === "silent") this.#announce("back", silence);
    this.#failures = 0;
    this.error = "";
    this.standing = "live";
    this.#clock.clearTimeout(this.#ticker);
    this.#tell();
  }

  #announce(what, silence) {
    this.news = { what, silence };
    this.#newsAt = this.#clock.now();
  }

  #failed(failure) {
    if (failure.status === 401) {
      this.stop();
      return;
    }
    this.#failures++;
    this.error = failure.message;
    this.#clock.clearTimeout(this.#ticker);
    this.#tick();
  }

  /** While nothing comes, listeners hear each second how old the picture is. */
  #tick() {
    if (this.standing === "live" && this.age > silentAfter) this.standing = "silent";
    this.#tell();
    this.#ticker = this.#clock.setTimeout(() => this.#tick(), every);
  }

  #tell() {
    if (this.news && this.#clock.now() - this.#newsAt > newsLasts) this.news = null;
    for (const listener of this.#listeners) {
      try {
        listener(this);
      } catch (failure) {
        console.error(failure); // It ends neither the polls nor what others show.
      }
    }
  }
}
