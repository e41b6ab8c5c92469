// Asks for /console/api/live: each second while the page is visible, each ten seconds while it is hidden, never twice at a time.

const EVERY = 1000;
const EVERY_HIDDEN = 10_000;
const TIMEOUT = 4000;
const LONGEST_PAUSE = 5000;

/** The sidecar counts as silent when its newest answer is older than this, and asking again has failed. */
const SILENT_AFTER = 2500;

/** For how long the page says that the sidecar answers again, or has restarted. */
const NEWS_LASTS = 15_000;

/**
 * Where the page stands with the sidecar:
 * - `first`: nothing has come yet (`error` is set once asking has failed)
 * - `live`: answers come
 * - `silent`: answers came, and do not come any more
 * - `ended`: the session of the console has ended, and nothing is asked any more
 * @typedef {'first'|'live'|'silent'|'ended'} Standing
 */

export class LivePoll {
  /** @type {Standing} */
  standing = 'first';
  /** Why the newest request failed, as text; empty if it did not. */
  error = '';
  /** @type {null | {what: 'back'|'restarted', after: number}} what has just happened; `after`: milliseconds of silence before */
  news = null;

  #store;
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
   * @param {import('./livestore.js').LiveStore} store where answers go
   * @param {(after: number|null, signal: AbortSignal) => Promise<object>} ask asks the server; fails with `status` 401 if the session has ended
   * @param {{clock?: object, isHidden?: () => boolean}} [environment] of tests: `now`, `setTimeout`, `clearTimeout` and whether the page is hidden
   */
  constructor(store, ask, { clock = realClock, isHidden = () => document.hidden } = {}) {
    this.#store = store;
    this.#ask = ask;
    this.#clock = clock;
    this.#isHidden = isHidden;
  }

  get store() {
    return this.#store;
  }

  /** @returns {number|null} milliseconds since the newest answer */
  get age() {
    return this.#store.age(this.#clock.now());
  }

  /** Calls back after each answer, and each second without one. @returns {() => void} ends that */
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

  /** Asks no more. A request under way is given up. */
  stop() {
    this.#running = false;
    this.#clock.clearTimeout(this.#timer);
    this.#clock.clearTimeout(this.#ticker);
    this.#asking?.abort();
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
    const deadline = this.#clock.setTimeout(() => asking.abort(), TIMEOUT);
    const after = this.#store.seq;
    try {
      const answer = await this.#ask(after, asking.signal);
      if (this.#running) this.#took(this.#store.take(answer, after, this.#clock.now()));
    } catch (failure) {
      if (this.#running) this.#failed(failure);
    } finally {
      this.#clock.clearTimeout(deadline);
      this.#asking = null;
    }
    if (!this.#running) return;
    this.#tell();
    this.#timer = this.#clock.setTimeout(() => this.#poll(), this.#pause(this.#clock.now() - began));
  }

  /** @returns {number} how long to wait after a request that took so long */
  #pause(took) {
    if (this.#failures === 0 && this.#store.seq === null) return 0;
    const every = this.#isHidden() ? EVERY_HIDDEN : Math.min(EVERY * 2 ** Math.max(0, this.#failures - 1), LONGEST_PAUSE);
    return Math.max(EVERY / 4, every - took);
  }

  #took(what) {
    const silence = this.standing === 'silent' ? this.#clock.now() - this.#silentSince : 0;
    if (what === 'anew') this.#announce('restarted', silence);
    else if (this.standing === 'silent') this.#announce('back', silence);
    this.#failures = 0;
    this.error = '';
    this.standing = 'live';
    this.#silentSince = this.#clock.now();
    this.#clock.clearTimeout(this.#ticker);
  }

  #silentSince = 0;

  #announce(what, after) {
    this.news = { what, after };
    this.#newsAt = this.#clock.now();
  }

  #failed(failure) {
    if (failure.status === 401) {
      this.standing = 'ended';
      this.stop();
      this.#tell();
      return;
    }
    this.#failures++;
    this.error = failure.name === 'AbortError' ? `no answer within ${TIMEOUT / 1000} seconds` : failure.message;
    this.#clock.clearTimeout(this.#ticker);
    this.#tick();
  }

  /** While nothing comes, listeners hear each second how old the picture is. */
  #tick() {
    if (this.standing === 'live' && this.age > SILENT_AFTER) this.standing = 'silent';
    this.#tell();
    this.#ticker = this.#clock.setTimeout(() => this.#tick(), EVERY);
  }

  #tell() {
    if (this.news && this.#clock.now() - this.#newsAt > NEWS_LASTS) this.news = null;
    for (const listener of this.#listeners) listener(this);
  }
}

const realClock = {
  now: () => Date.now(),
  setTimeout: (f, ms) => setTimeout(f, ms),
  clearTimeout: (timer) => clearTimeout(timer),
};
