// The proof that the sign-in answers. The browser sends the cookie to every port of the host; only pages of this origin can read
// this, so whoever has the cookie alone can do nothing with it.

const place = "console.proof";

/** In this page, where the browser keeps nothing. */
let here = null;

/** The proof, "1" where nobody has signed in. */
export function proof() {
  try {
    return localStorage.getItem(place) ?? here ?? "1";
  } catch {
    return here ?? "1";
  }
}

/** Keeps the proof for this and other tabs, or forgets it. @param {string|null} value */
export function keepProof(value) {
  here = value;
  try {
    if (value === null) localStorage.removeItem(place);
    else localStorage.setItem(place, value);
  } catch {
    // Without storage a reload asks for the key again.
  }
}
