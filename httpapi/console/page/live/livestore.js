// Keeps the answers of /console/api/live: the points of the last five minutes, and the newest picture.

/** How many points are kept: five minutes, one each second. */
export const kept = 300;

/** How many points early or late an answer may be before its points are dated anew. */
const tolerated = 2.5;

export class LiveStore {
  /** The newest point's number; null before the first, and when all points have to be asked for again. */
  seq = null;
  /** When the process started that the points are from, as it says it. */
  startedAt = "";
  /** `latest` and `health` of the newest answer. */
  latest = null;
  health = [];
  /** When the newest answer came, by this page's clock in milliseconds; null before the first. */
  receivedAt = null;
  /** The server"s clock minus this page"s, in milliseconds. */
  clockOffset = 0;

  #times = [];
  #series = new Map();

  /**
   * Takes an answer in.
   * @param {object} answer what the server said
   * @param {number|null} after the number that it was asked for points after
   * @param {number} receivedAt this page's clock, in milliseconds
   * @returns {"first"|"more"|"anew"} `anew` if another process answered: the old points are gone. If `seq` is null then, ask again for all points.
   */
  take(answer, after, receivedAt) {
    const known = this.startedAt !== "";
    const anew = known && answer.startedAt !== this.startedAt;
    if (anew) this.#forget();
    this.startedAt = answer.startedAt;
    this.latest = answer.latest;
    this.health = answer.health;
    this.receivedAt = receivedAt;
    this.clockOffset = Date.parse(answer.now) - receivedAt;
    // Points after a number of another process are not all that this one has.
    if (anew && after !== null) return "anew";
    this.#append(answer);
    if (anew) return "anew";
    return known ? "more" : "first";
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
    const had = this.seq === null ? 0 : Math.max(0, this.seq - from + 1); // sent again
    const count = Math.max(0, seq - from + 1 - had);
    this.seq = Math.max(seq, this.seq ?? seq);
    if (count === 0) return;
    for (const name of Object.keys(series)) {
      if (!this.#series.has(name)) this.#series.set(name, new Array(this.#times.length).fill(null));
    }
    const first = this.#dateOfFirst(Date.parse(now) / 1000 - (count - 1) * every, every);
    for (let i = 0; i < count; i++) this.#push(first + i * every, (name) => series[name]?.[had + i] ?? null);
    this.#times = this.#times.slice(-kept);
    for (const [name, values] of this.#series) this.#series.set(name, values.slice(-kept));
  }

  /**
   * Decides where the first new point goes. Answers come a little early or late: such a point goes where it was expected, so that points keep their
   * distance. A later one follows a gap. If the server's clock was set back, the old points move with it.
   */
  #dateOfFirst(measured, every) {
    if (this.#times.length === 0) return measured;
    const expected = this.#times.at(-1) + every;
    const off = measured - expected;
    if (Math.abs(off) <= tolerated * every) return expected;
    if (off < 0) this.#times = this.#times.map((time) => time + off);
    else this.#push(expected, () => null);
    return measured;
  }

  #push(time, valueOf) {
    this.#times.push(time);
    for (const [name, values] of this.#series) values.push(valueOf(name));
  }
}
