// Figures as they are read: short, with a unit, and "–" where there is none. Numbers may come as texts (64 bits in JSON).

const none = "–";

/** "12,345". */
export function count(n) {
  return isNumber(n) ? Math.round(Number(n)).toLocaleString("en") : none;
}

/** "999", "1.2k", "35k", "1.2M": for axes and where there is little room. */
export function short(n) {
  if (!isNumber(n)) return none;
  const value = Number(n);
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (Math.abs(value) >= 0.9995 * size) return `${plain(value / size, 2)}${unit}`;
  }
  return plain(value, 3);
}

/** "0", "0.04", "3.2", "48", "3,412". */
export function rate(n) {
  if (!isNumber(n)) return none;
  const value = Number(n);
  if (value > 0 && value < 0.005) return "<0.01";
  if (value < 0.995) return String(Number(value.toFixed(2)));
  return value < 9.95 ? value.toFixed(1) : count(value);
}

/** "0.9 µs", "12 µs", "0.42 ms", "2.1 ms", "48 ms", "1.2 s"; `ms` is in milliseconds. */
export function millis(ms) {
  if (!isNumber(ms)) return none;
  const value = Number(ms);
  if (value >= 999.5) return `${plain(value / 1000, 2)} s`;
  if (value >= 0.0995) return `${plain(value, 2)} ms`;
  return value === 0 ? "0 ms" : `${plain(value * 1000, 2)} µs`;
}

/** As millis, of seconds. */
export function seconds(s) {
  return isNumber(s) ? millis(Number(s) * 1000) : none;
}

/** "99.2 %", of a share from 0 to 1; 100 only if it is all. */
export function percent(share) {
  if (!isNumber(share)) return none;
  const value = Number(share) * 100;
  if (Number.isInteger(value)) return `${value} %`;
  return `${(Math.floor(value * 10) / 10).toFixed(1)} %`;
}

/** "640 B", "3.4 KiB", "1.2 GiB". */
export function bytes(n) {
  if (!isNumber(n)) return none;
  let value = Number(n);
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (value < 1000 || unit === "GiB") return `${plain(value, 3)} ${unit}`;
    value /= 1024;
  }
}

/** The number with so many digits that count, and all of those before the point; zeros at the end are left out if nothing was rounded. */
function plain(value, digits) {
  if (value === 0) return "0";
  const text = value.toFixed(Math.min(20, Math.max(0, digits - 1 - Math.floor(Math.log10(Math.abs(value))))));
  return Number(text) === value ? String(value) : text;
}

function isNumber(n) {
  return n !== null && n !== undefined && n !== "" && Number.isFinite(Number(n));
}
