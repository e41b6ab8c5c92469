// Dates as people type them: "2026-12-01", "2026-12-01 13:20", "2h", "3d ago", "in 15m", "now". Without an offset they are UTC.

const units = { s: 1, m: 60, h: 3600, d: 86400, w: 604800 };
const form = /^(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ](\d{1,2}):(\d{2})(?::(\d{2})(\.\d{1,9})?)?)?\s*(Z|UTC|[+-]\d{2}:?\d{2})?$/i;
const span = /^(in |[+-])?(\d{1,6})\s*([smhdw])(?:ec|ecs|econds?|in|ins|inutes?|ours?|ays?|eeks?)?( ago)?$/i;

/**
 * @param {string} typed
 * @param {number} now in milliseconds since 1970
 * @param {1|-1} toward where a time span without "ago" or "in" goes: 1 into the future
 * @returns {{date: string}|{fault: string}} RFC 3339, UTC; or what is wrong with it
 */
export function parseDate(typed, now, toward) {
  const text = typed.trim();
  if (text === "") return { fault: "A date is missing: 2026-12-01, 2026-12-01 13:20, 2h or 3d." };
  if (text.toLowerCase() === "now") return { date: rfc3339(now) };
  const ago = span.exec(text);
  if (ago) return fromSpan(ago, now, toward);
  const parts = form.exec(text);
  if (!parts) return { fault: `“${text.slice(0, 40)}” is no date. Type 2026-12-01, 2026-12-01 13:20 (UTC), 2h or 3d.` };
  return fromParts(parts);
}

function fromSpan([, lead, n, unit, ago], now, toward) {
  const sign = ago || lead === "-" ? -1 : lead ? 1 : toward;
  const at = now + sign * n * units[unit.toLowerCase()] * 1000;
  return bounded(at);
}

function fromParts([, year, month, day, hour = "0", minute = "0", second = "0", fraction = "", zone = "Z"]) {
  if (month < 1 || month > 12) return { fault: `There is no month ${month}.` };
  const days = new Date(Date.UTC(year, month, 0)).getUTCDate();
  if (day < 1 || day > days) return { fault: `There is no day ${day} in ${year}-${two(month)}.` };
  if (hour > 23) return { fault: `There is no hour ${hour}.` };
  if (minute > 59 || second > 59) return { fault: "Minutes and seconds go to 59." };
  const offset = /^[+-]/.test(zone) ? zone.replace(/^(.\d{2}):?/, "$1:") : "Z";
  const whole = `${year}-${two(month)}-${two(day)}T${two(hour)}:${two(minute)}:${two(second)}`;
  const at = Date.parse(whole + offset);
  if (Number.isNaN(at)) return { fault: `${zone} is no offset.` };
  const kept = bounded(at);
  return kept.date && fraction ? { date: kept.date.replace("Z", `${fraction.slice(0, 7)}Z`) } : kept;
}

function bounded(at) {
  const year = new Date(at).getUTCFullYear();
  if (!(year >= 1970 && year <= 2254)) return { fault: "Dates are of the years 1970 to 2254." };
  return { date: rfc3339(at) };
}

function rfc3339(at) {
  return `${new Date(at).toISOString().slice(0, 19)}Z`;
}

function two(n) {
  return String(n).padStart(2, "0");
}
