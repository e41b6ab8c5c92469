// Remembers revocations in the browser: those begun here whose end nobody has seen yet, and those that were dismissed.
// It has their IDs and counts, nothing of the sessions.

import { me } from "../shell/me.js";

const longest = 50;

/** For so long after its end the sidecar tells of a revocation, in milliseconds. */
const toldFor = 3_600_000;

/**
 * @typedef {{id: string, n?: number, who: string, at: number, asked?: boolean}} Begun
 * at: when, by the browser's clock; asked: the sidecar was asked for it, and it is not known whether it has begun
 */

const unseenOnes = kept(() => localStorage, "console.revocations.unseen");
const dismissedOnes = kept(() => sessionStorage, "console.revocations.dismissed");

/** The sidecar is about to be asked for one. @param {string} id @param {number} n how many sessions it is about */
export function asked(id, n) {
  note({ id, n, asked: true });
}

/** It has begun. @param {string} id @param {number} n how many sessions it is about */
export function begun(id, n) {
  note({ id, n });
}

/** It has not begun, and somebody knows. @param {string} id */
export function notBegun(id) {
  unseenOnes.set(unseenOnes.get().filter((one) => one.id !== id));
}

function note(one) {
  unseenOnes.set([...unseenOnes.get().filter((other) => other.id !== one.id), { ...one, who: who(), at: Date.now() }]);
}

/** Somebody has seen how it ended. @param {string} id */
export function seen(id) {
  unseenOnes.set(unseenOnes.get().filter((one) => one.id !== id));
  if (!isDismissed(id)) dismissedOnes.set([...dismissedOnes.get(), id]);
}

/** @param {string} id */
export function isDismissed(id) {
  return dismissedOnes.get().includes(id);
}

/** Those asked for or begun here by who is signed in, within the hour, whose end nobody has seen. @returns {Begun[]} */
export function unseen() {
  return unseenOnes.get().filter((one) => one.who === who() && Date.now() - one.at < toldFor);
}

function who() {
  return me()?.name ?? "";
}

/** A short list in a storage of the browser; without that it lasts as long as the page. */
function kept(storage, name) {
  let list = null;
  return {
    get() {
      try {
        list = JSON.parse(storage().getItem(name)) ?? list;
      } catch {
        // The page has all there is.
      }
      return list ?? [];
    },
    set(next) {
      list = next.slice(-longest);
      try {
        storage().setItem(name, JSON.stringify(list));
      } catch {
        // See above.
      }
    },
  };
}
