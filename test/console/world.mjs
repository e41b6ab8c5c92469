// A browser, and what the Go test has made: the console's address, API keys, tokens.

import assert from "node:assert/strict";
import { after, before } from "node:test";
import { chromium } from "playwright-core";

export const world = JSON.parse(process.env.CLOAKROOM_WORLD);
export const wide = { width: 1440, height: 900 };
export const narrow = { width: 390, height: 844 };

/** For what must come: a page that does not show it by then is broken. In milliseconds. */
const patience = 30_000;

let browser;
before(async () => {
  browser = await chromium.launch({ executablePath: await onPath("chromium"), args: ["--no-sandbox", "--disable-gpu"] });
});
after(() => browser?.close());

async function onPath(name) {
  const { access, constants } = await import("node:fs/promises");
  for (const dir of process.env.PATH.split(":")) {
    try {
      await access(`${dir}/${name}`, constants.X_OK);
      return `${dir}/${name}`;
    } catch {
      // It may be in the next.
    }
  }
  throw new Error(`${name} is not on PATH`);
}

/**
 * Runs use with a page, and fails if that logs an error, breaks the Content-Security-Policy, or asks another host.
 * @param {{viewport?: object, colorScheme?: string, mayLog?: RegExp}} [options] mayLog: errors that are expected
 */
export async function withPage(options, use) {
  const { viewport = wide, colorScheme = "light", mayLog } = options;
  const context = await browser.newContext({ viewport, colorScheme, reducedMotion: "reduce" });
  context.setDefaultTimeout(patience);
  const wrong = [];
  const page = await context.newPage();
  page.on("console", (message) => {
    if (message.type() === "error" && !mayLog?.test(message.text())) wrong.push(message.text());
  });
  page.on("pageerror", (error) => wrong.push(String(error)));
  page.on("request", (request) => {
    if (!request.url().startsWith(world.console)) wrong.push(`asks for ${request.url()}`);
  });
  try {
    await use(page, context);
    assert.deepEqual(wrong, []);
  } finally {
    await context.close();
  }
}

/** Signs in by a key, at a hash such as "#/sessions". */
export async function signIn(page, name = "admin", hash = "#/sessions") {
  await page.goto(world.console + hash);
  await page.getByLabel("API key").fill(world.keys[name]);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.locator("#topbar").waitFor();
}

/** Has the Go test change the world. */
export async function control(what) {
  const answer = await fetch(`${world.control}/${what}`, { method: "POST" });
  assert.equal(answer.status, 200, await answer.text());
}

/** Asks the API as admin. */
export async function api(method, path, body) {
  const answer = await fetch(world.api + path, { method, headers: { Authorization: `Bearer ${world.keys.admin}`, "Content-Type": "application/json" }, body: body && JSON.stringify(body) });
  return answer.json();
}

/** How many sessions the API finds by these queries. */
export async function total(...queries) {
  const { details } = await api("POST", "/v2/sessions/search", { query: { limit: 1 }, queries });
  return Number(details.totalResult);
}

/** Waits until what is asked for holds; says what was seen last if it never does. */
export async function eventually(holds, message) {
  const end = Date.now() + patience;
  for (;;) {
    try {
      return await holds();
    } catch (error) {
      if (Date.now() > end) throw new Error(`${message}: ${error.message}`, { cause: error });
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** The rows of the list, as far as they are loaded. */
export const rows = (page) => page.locator(".srow[data-id]");

/** The total that the list says. */
export async function saysTotal(page, n) {
  await page.locator(".found", { hasText: `${n.toLocaleString("en")} session` }).waitFor();
}

/** Types a predicate and searches. */
export async function search(page, text) {
  const field = page.getByRole("combobox", { name: "Search sessions" });
  await field.fill(text);
  await field.press("Enter");
}
