// Calls of the console's own API. Every one says that it comes from this page, so that no other page can make it.

import { Clock } from "./clock.js";
import { keepProof, proof } from "./proof.js";

/** An error of a call: `status` is that of HTTP, 0 if the sidecar did not answer; `body` the answer, if it had JSON. */
export class ApiError extends Error {
  constructor(status, message, body) {
    super(message);
    this.status = status;
    this.body = body;
  }
}

/** How long an answer may take, in milliseconds. */
const patience = 10_000;

/** Callbacks of the shell. */
export const on = {
  /** The sign-in has ended, or there never was one. @param {ApiError} error */
  signedOut(error) {},
  /** The sidecar answers, or does not. @param {boolean} answers */
  reach(answers) {},
};

/**
 * Asks, and returns the answer's JSON (null for 204). Throws an ApiError for every other status, and the
 * AbortError of `signal`. No answer within `wait` milliseconds, or a TimeoutError as the reason of `signal`, is an
 * ApiError of status 0. A 401 of any call but the sign-in takes the page to the sign-in.
 * @param {"GET"|"POST"} method
 * @param {string} path below /console/api/, such as "search"
 * @param {object} [body]
 * @param {{signal?: AbortSignal, wait?: number, headers?: object}} [options]
 */
export async function call(method, path, body, options = {}) {
  const init = { method, headers: { "X-Console": path === "sign-in" ? "1" : proof(), ...options.headers }, credentials: "same-origin", cache: "no-store", redirect: "error", signal: options.signal };
  if (method === "POST") {
    init.headers["Content-Type"] = "application/json";
    init.body = JSON.stringify(body ?? {});
  }
  const { response, text } = await send(`api/${path}`, init, options.wait ?? patience);
  const answer = parse(text);
  Clock.hear(answer?.now ?? answer?.details?.timestamp ?? response.headers.get("Date"));
  if (response.ok && path === "sign-in") keepProof(answer.proof);
  if (response.ok && path === "sign-out") keepProof(null);
  if (response.ok) return answer;
  const error = new ApiError(response.status, answer?.message || `the sidecar answered ${response.status}`, answer);
  if (error.status === 401 && path !== "sign-in") on.signedOut(error);
  throw error;
}

async function send(url, init, wait) {
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(new DOMException(`No answer within ${wait / 1000} seconds.`, "TimeoutError")), wait);
  const signal = init.signal ? AbortSignal.any([init.signal, deadline.signal]) : deadline.signal;
  try {
    const response = await fetch(url, { ...init, signal });
    const text = await response.text();
    on.reach(true);
    return { response, text };
  } catch (cause) {
    const late = signal.aborted && signal.reason.name === "TimeoutError";
    if (signal.aborted && !late) throw cause;
    on.reach(false);
    throw new ApiError(0, late ? signal.reason.message : "The sidecar does not answer.", null);
  } finally {
    clearTimeout(timer);
  }
}

function parse(text) {
  try {
    return text === "" ? null : JSON.parse(text);
  } catch {
    return null; // A proxy between may answer with a page; its status says enough.
  }
}
