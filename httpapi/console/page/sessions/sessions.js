// The view of sessions.

import { el } from "../shell/dom.js";
import { setTitle } from "../shell/router.js";

/** @returns {import("../shell/router.js").View} */
export function sessionsView() {
  return { node: el("section", { "aria-label": "Sessions" }), show: () => setTitle("Sessions") };
}
