// Tells whether pasted text is a token or the ID of a session.

const idForm = /^[A-Za-z0-9._~:-]{1,128}$/;
const tokenForm = /^[^.]+\.[A-Za-z0-9_-]{43}$/;
const jwtForm = /^[\w-]+\.[\w-]+\.[\w-]+$/;
const idLength = 40; // IDs of Cloakroom and ZITADEL have at most 20 digits, UUIDs 36 characters; tokens are far longer.

/**
 * @param {string} pasted
 * @param {""|"token"|"id"} as what it is to be taken as; "" finds out
 * @returns {{id?: string, token?: string, says: string}|null} null if there is nothing
 */
export function credentialOf(pasted, as) {
  const text = pasted.trim().replace(/^(authorization:\s*)?bearer\s+/i, "").replace(/^"(.*)"$/, "$1").trim();
  if (text === "") return null;
  if (as === "id") return { id: text, says: "a session ID" };
  if (as === "token") return { token: text, says: "a token" };
  if (jwtForm.test(text) && text.startsWith("ey")) return { token: text, says: "a JWT" };
  if (tokenForm.test(text)) return { token: text, says: "a session token" };
  return idForm.test(text) && text.length <= idLength ? { id: text, says: "a session ID" } : { token: text, says: "a token" };
}
