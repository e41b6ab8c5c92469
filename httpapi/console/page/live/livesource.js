// The one poll of the page, which the strip in the top bar and the live view share.

import { call } from "../shell/api.js";
import { LivePoll } from "./livepoll.js";

export const poll = new LivePoll(async (after, signal) => {
  const answer = await call("GET", after === null ? "live" : `live?after=${after}`, undefined, { signal });
  if (!answer?.series) throw new Error("Something else than the sidecar answers.");
  return answer;
});

document.addEventListener("visibilitychange", () => !document.hidden && poll.hurry());
addEventListener("sidecar-back", () => poll.hurry());

/** How often those whom Redis failed, though it seems to be there, hear that they may ask again; in milliseconds. */
const every = 10_000;
let away = false;
let told = 0;

poll.subscribe(() => {
  const redis = poll.store.latest?.redis;
  if (!redis || poll.standing !== "live") return;
  const back = !redis.away && (away || Date.now() - told >= every);
  away = redis.away;
  if (!back) return;
  told = Date.now();
  dispatchEvent(new Event("store-back"));
});
