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
