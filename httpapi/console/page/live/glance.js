// The state of the sidecar at one glance.

import { duration } from "../shell/time.js";

/**
 * @typedef {object} Glance
 * @property {"first"|"good"|"warn"|"bad"|"old"} state old: the sidecar does not answer
 * @property {string} title
 * @property {string} text one sentence more
 * @property {string} age how old the picture is, if it is old
 */

/** @param {import("./livepoll.js").LivePoll} poll @returns {Glance} */
export function glance(poll) {
  if (poll.standing === "first") {
    return poll.error ? { state: "old", title: "The sidecar does not answer", text: poll.error, age: "" } : { state: "first", title: "Asking the sidecar", text: "", age: "" };
  }
  if (poll.standing === "silent") {
    return { state: "old", title: "The sidecar does not answer", text: poll.error, age: duration(poll.age, true) };
  }
  const { health, latest } = poll.store;
  const bad = health.filter((part) => part.state === "bad");
  const warn = health.filter((part) => part.state === "warn");
  const more = warn.length > 0 ? `And ${warned(warn)}.` : "";
  if (latest.redis.away) return { state: "bad", title: "Redis is away: requests are refused", text: more, age: "" };
  if (bad.length > 0) return { state: "bad", title: `${names(bad)}: requests are refused`, text: more, age: "" };
  if (warn.length > 0) return { state: "warn", title: `Works, with ${warned(warn)}`, text: "Requests are answered.", age: "" };
  return { state: "good", title: "All well", text: "Every part does its work.", age: "" };
}

function warned(parts) {
  return parts.length === 1 ? `a warning: ${parts[0].part}` : `${parts.length} warnings`;
}

function names(parts) {
  const text = parts.length > 2 ? `${parts.length} parts` : parts.map((part) => part.part).join(" and ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}
