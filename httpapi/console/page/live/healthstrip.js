// The health of the sidecar in the top bar.

/** @param {HTMLElement} slot @returns {() => void} ends it */
export function mountHealth(slot) {
  return () => slot.replaceChildren();
}
