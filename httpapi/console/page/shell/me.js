// The key that is signed in, and its permissions.

/** The answer of /me, or null. */
let signedIn = null;

/** @returns the answer of /me */
export function me() {
  return signedIn;
}

export function setMe(answer) {
  signedIn = answer;
}

/** Whether the key may do it to sessions of any organization. @param {"read"|"write"|"delete"} what */
export function may(what) {
  const right = signedIn?.may?.[what];
  return Boolean(right && (right.all || right.orgs?.length));
}

/** Whether the key may do it to all sessions. */
export function mayAll(what) {
  return Boolean(signedIn?.may?.[what]?.all);
}

/** The organizations that the key is bound to for this, if it is. @returns {string[]} */
export function onlyOrgs(what) {
  return mayAll(what) ? [] : (signedIn?.may?.[what]?.orgs ?? []);
}

/** "reads, ends sessions of 2 organizations". */
export function rights() {
  const said = [["read", "reads"], ["write", "writes"], ["delete", "revokes"]]
    .filter(([what]) => may(what))
    .map(([what, says]) => (mayAll(what) ? says : `${says} in ${count(onlyOrgs(what).length, "organization")}`));
  return said.length ? said.join(", ") : "no permissions";
}

/** "1 session", "5,000 sessions". */
export function count(n, noun) {
  return `${Number(n).toLocaleString("en")} ${noun}${Number(n) === 1 ? "" : "s"}`;
}
