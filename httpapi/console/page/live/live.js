// The live view.

import { el } from "../shell/dom.js";
import { setTitle } from "../shell/router.js";

/** @returns {import("../shell/router.js").View} */
export function liveView() {
  return { node: el("section", { "aria-label": "Live" }), show: () => setTitle("Live") };
}
