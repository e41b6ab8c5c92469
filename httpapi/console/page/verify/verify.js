// The view that says whether verify would let a token or a session pass.

import { el } from "../shell/dom.js";
import { setTitle } from "../shell/router.js";

/** @returns {import("../shell/router.js").View} */
export function verifyView() {
  return { node: el("section", { "aria-label": "Verify" }), show: () => setTitle("Verify") };
}
