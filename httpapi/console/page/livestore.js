// What the page keeps of the answers of /console/api/live: the points of the last five minutes, and the newest picture.

/** How many points are kept: five minutes, one each second. */
export const KEPT = 300;

/** Answers whose clock is this many points away from what was expected make a gap. */
const TOLERATED = 2.5;

export class LiveStore {
  /** The newest point's number; null before the first, and when all points have to be asked for again. */
  seq = null;
  /** When the process started that the points are from, as it says it. */
  startedAt = '';
  /** `latest` and `health` of the newest answer. */
  latest = null;
  health = [];
  /** When the newest answer came, by this page's clock in milliseconds; null before the first. */
  receivedAt = null;
  /** The server's clock minus this page's, in milliseconds. */
  clockOffset = 0;

  #times = [];
  #series = new Map();

  /**
   * Takes an answer in.
   * @param {object} answer what the server said
   * @param {number|null} after the number that it was asked for points after
   * @param {number} receivedAt this page's clock, in milliseconds
   * @returns {'first'|'more'|'anew'} `anew` if another process answered: the old points are gone. If `seq` is null then, ask again for all points.
   */
  take(answer, after, receivedAt) {
    const known = this.startedAt !== '';
    const anew = known && answer.startedAt !== this.startedAt;
    if (anew) this.#forget();
    this.startedAt = answer.startedAt;
    this.latest = answer.latest;
    this.health = answer.health;
    this.receivedAt = receivedAt;
    this.clockOffset = Date.parse(answer.now) - receivedAt;
    // Points after a number of another process are not all that this one has.
    if (anew && after !== null) return 'anew';
    this.#append(answer);
    if (anew) return 'anew';
    return known ? 'more' : 'first';
  }

  /** @returns {number[]} the dates of the points, as Unix time in seconds, ascending */
  times() {
    return this.#times;
  }

  /** @returns {(number|null)[]} the points of a series, one for each of `times()`; null where there is none */
  series(name) {
    return this.#series.get(name) ?? this.#times.map(() => null);
  }

  /** @returns {boolean} whether the server has ever sent this series */
  has(name) {
    return this.#series.has(name);
  }

  /** @returns {number|null} the newest point of a series */
  newest(name) {
    return this.#series.get(name)?.at(-1) ?? null;
  }

  /** @returns {number|null} milliseconds since the newest answer; null before the first */
  age(now) {
    return this.receivedAt === null ? null : Math.max(0, now - this.receivedAt);
  }

  #forget() {
    this.seq = null;
    this.#times = [];
    this.#series = new Map();
  }

  #append({ from, seq, every, now, series }) {
    const known = this.seq === null ? 0 : Math.max(0, this.seq - from + 1);
    const count = Math.max(0, seq - from + 1 - known);
    if (count === 0) {
      this.seq ??= seq;
      return;
    }
    const newest = Date.parse(now) / 1000;
    const gap = this.#placeAfter(newest - (count - 1) * every, every);
    const start = this.#times.length === 0 ? newest - (count - 1) * every : this.#times.at(-1) + every;
    const had = this.#times.length;
    if (gap) this.#times.push(start);
    const first = gap ? newest - (count - 1) * every : start;
    for (let i = 0; i < count; i++) this.#times.push(first + i * every);

    const added = this.#times.length - had;
    for (const name of new Set([...this.#series.keys(), ...Object.keys(series)])) {
      const values = this.#series.get(name) ?? new Array(had).fill(null);
      for (let i = 0; i < added; i++) values.push(series[name]?.[known + i - (added - count)] ?? null);
      this.#series.set(name, values.slice(-KEPT));
    }
    this.#times = this.#times.slice(-KEPT);
    this.seq = seq;
  }

  /**
   * Decides where a point goes whose date was measured: a little off is late, and goes where it was expected; later makes a gap; and if the server's
   * clock was set back, the old points move with it.
   * @returns {boolean} whether there is a gap before the point
   */
  #placeAfter(measured, every) {
    if (this.#times.length === 0) return false;
    const expected = this.#times.at(-1) + every;
    if (measured < expected - TOLERATED * every) {
      this.#times = this.#times.map((t) => t + measured - expected);
      return false;
    }
    return measured > expected + TOLERATED * every;
  }
}
