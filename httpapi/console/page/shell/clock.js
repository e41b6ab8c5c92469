// The server's clock, as far as answers tell it: browsers' clocks may be wrong by hours.

let ahead = 0;
let heard = false;

export const Clock = {
  /** @param {string|null|undefined} date RFC 3339, or a Date header, which is only taken where nothing better came */
  hear(date) {
    const time = Date.parse(date ?? "");
    if (Number.isNaN(time)) return;
    const exact = /^\d{4}-/.test(date);
    if (!exact && heard) return;
    heard ||= exact;
    ahead = time - Date.now();
  },
  /** @returns {number} now, in milliseconds since 1970, by the server's clock */
  now() {
    return Date.now() + ahead;
  },
};
