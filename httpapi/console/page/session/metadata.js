// Metadata: bytes, shown as text where they are text.

import { el } from "../shell/dom.js";
import { copyButton, longText } from "../shell/text.js";
import { pairs } from "./pairs.js";

const hexShown = 48;

/** @param {Record<string, string>|undefined} map values in base64 */
export function metadata(map) {
  const entries = Object.entries(map ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  return el("section", null, el("h3", null, "Metadata"),
    entries.length ? pairs("keys", entries.map(([key, value]) => [key, shown(value)])) : el("p", { class: "faint" }, "None."));
}

function shown(base64) {
  const bytes = decode(base64);
  const text = asText(bytes);
  if (text !== null) return longText(text, { max: 160 });
  const hex = Array.from(bytes.subarray(0, hexShown), (byte) => byte.toString(16).padStart(2, "0")).join(" ");
  return el("span", { class: "wrap" }, el("span", { class: "tag" }, `${bytes.length.toLocaleString("en")} bytes`), " ",
    el("span", { class: "mono" }, bytes.length > hexShown ? `${hex} …` : hex), copyButton(() => base64, "Copy as base64"));
}

/** @returns {Uint8Array} */
function decode(base64) {
  return Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
}

/** @returns {string|null} null if these are not UTF-8, or hardly anything but control characters */
function asText(bytes) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    const controls = text.match(/[\0-\x08\x0e-\x1f]/g)?.length ?? 0;
    return controls * 4 > text.length ? null : text;
  } catch {
    return null;
  }
}
