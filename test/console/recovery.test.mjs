// What the page does when answers do not come, or come from a sidecar that was started again.
import assert from "node:assert/strict";
import { test } from "node:test";
import { api, rows, signIn, total, withPage, world } from "./world.mjs";

/** What the browser logs of requests that these tests break. */
const broken = { mayLog: /ERR_|status of (404|401|503)/ };
const ofUser = (id) => ({ userIdQuery: { id } });

/** Stores sessions of a user of their own. */
async function store(user, n) {
  const expirationDate = new Date(Date.now() + 3_600_000).toISOString();
  const verifiedAt = new Date().toISOString();
  for (let i = 0; i < n; i++) await api("PUT", `/v2/sessions/${user}-${i}`, { expirationDate, factors: { user: { verifiedAt, id: user, loginName: user, organizationId: "org-1" }, password: { verifiedAt } } });
}

async function askToRevoke(page) {
  await page.getByRole("button", { name: "Revoke all…" }).click();
  await page.getByRole("dialog").getByRole("button", { name: /^Revoke (it|\d+ sessions)$/ }).click();
}

const begins = (route) => route.request().method() === "POST" && !route.request().postDataJSON().dryRun;

/** Lets revocations begin, and gives the page another answer. Returns how many have begun. */
async function loseAnswer(page, answer) {
  let began = 0;
  await page.route("**/api/revocations", async (route) => {
    if (!begins(route)) return route.continue();
    began++;
    await route.fetch();
    await answer(route);
  });
  return () => began;
}

const json = (body, status = 200) => ({ status, contentType: "application/json", body: JSON.stringify(body) });

test("a sidecar that hangs is given up after 10 seconds, and the page says so", () => withPage(broken, async (page) => {
  await page.clock.install();
  await signIn(page, "admin", "#/sessions?user=user-30");
  await rows(page).first().waitFor();
  await page.route("**/api/**", () => {}); // Nothing answers.
  await rows(page).first().locator("a.open").click();
  await page.locator(".pane .verdict.waiting").waitFor();
  await page.clock.runFor(11_000);
  await page.locator("#banner", { hasText: "does not answer" }).waitFor();
  await page.locator(".pane .notice", { hasText: "No answer within 10 seconds" }).or(page.locator(".pane .notice", { hasText: "The sidecar does not answer" })).first().waitFor();
  await page.unroute("**/api/**");
  await page.clock.runFor(13_000);
  await page.locator(".pane").getByText(/Verify (lets it pass|refuses it)/).waitFor();
  assert.equal(await page.locator(".pane .notice.bad").count(), 0);
}));

test("a page that is loaded while the sidecar is away asks for the key as soon as it is there", () => withPage(broken, async (page) => {
  await page.route("**/api/**", (route) => route.abort());
  await page.goto(`${world.console}#/live`);
  await page.getByText("This page tries again by itself").waitFor();
  await page.unroute("**/api/**");
  await page.getByLabel("API key").waitFor();
}));

test("a revocation whose answer is lost is found again, and not begun twice", () => withPage(broken, async (page) => {
  await store("lost", 2);
  await signIn(page, "admin", "#/sessions?user=lost");
  const began = await loseAnswer(page, (route) => route.abort());
  await askToRevoke(page);
  const dialog = page.getByRole("dialog");
  await dialog.getByText("It is not known whether it has begun").waitFor();
  await dialog.getByText("2 sessions revoked").waitFor();
  assert.deepEqual([began(), await total(ofUser("lost"))], [1, 0]);
}));

test("a revocation that never arrived is not begun by the page", () => withPage(broken, async (page) => {
  await store("unheard", 2);
  let began = 0;
  await signIn(page, "admin", "#/sessions?user=unheard");
  await page.route("**/api/revocations", (route) => (begins(route) && ++began ? route.abort() : route.continue()));
  await askToRevoke(page);
  const dialog = page.getByRole("dialog");
  await dialog.getByText("The sidecar does not know of it").waitFor();
  assert.deepEqual([began, await total(ofUser("unheard"))], [1, 2]);
  await dialog.getByRole("button", { name: "Count again" }).click();
  await dialog.getByText("This cannot be undone").waitFor();
}));

test("a proxy's error does not say that a revocation has not begun", () => withPage({ mayLog: /status of 502/ }, async (page) => {
  await store("proxied", 2);
  await signIn(page, "admin", "#/sessions?user=proxied");
  const began = await loseAnswer(page, (route) => route.fulfill({ status: 502, contentType: "text/html", body: "<h1>Bad Gateway</h1>" }));
  await askToRevoke(page);
  await page.getByRole("dialog").getByText("2 sessions revoked").waitFor();
  assert.deepEqual([began(), await total(ofUser("proxied"))], [1, 0]);
}));

test("a revocation whose answer never came is not forgotten when the page is loaded again", () => withPage(broken, async (page) => {
  await store("reloaded", 2);
  await signIn(page, "admin", "#/sessions?user=reloaded");
  await page.route("**/api/revocations", (route) => (begins(route) ? route.abort() : route.continue()));
  await page.route("**/api/me", (route) => route.abort()); // The sidecar stays away.
  await askToRevoke(page);
  await page.getByRole("dialog").getByText("It is not known whether it has begun").waitFor();
  await page.unrouteAll();
  await page.reload();
  const strip = page.getByRole("region", { name: "Revocations" });
  await strip.getByText("The sidecar does not know of a revocation").waitFor();
  await strip.getByRole("button", { name: "Dismiss" }).click();
  assert.equal(await total(ofUser("reloaded")), 2);
}));

test("a revocation that a restart cut off says so, in the dialog and at the foot of the page", () => withPage(broken, async (page) => {
  await store("cut", 2);
  await signIn(page, "admin", "#/sessions?user=cut");
  let gone = false;
  await page.route("**/api/revocations", (route) => route[begins(route) ? "fulfill" : "continue"](begins(route) ? json({ id: "cut" }, 202) : {}));
  await page.route("**/api/revocations/*", (route) => route.fulfill(gone ? json({ code: 5, message: "no such revocation" }, 404) : json({ id: "cut", state: "running", revoked: "0", startedAt: new Date().toISOString() })));
  const dialog = page.getByRole("dialog");
  const strip = page.getByRole("region", { name: "Revocations" });
  await askToRevoke(page);
  await dialog.getByText("0 of 2").waitFor();
  await page.keyboard.press("Escape");
  await strip.getByText("A revocation is running").waitFor();
  gone = true;
  await strip.getByText("the revocation was cut off").waitFor();
  await strip.getByRole("button", { name: "Dismiss" }).click();
  await askToRevoke(page);
  await dialog.getByText("What was revoked stays so").waitFor();
  await dialog.getByRole("button", { name: "Count again" }).waitFor();
}));

test("a sign-in that ends while a revocation runs does not say that nothing was lost", () => withPage(broken, async (page, context) => {
  await store("parted", 1);
  await signIn(page, "admin", "#/sessions?user=parted");
  await page.route("**/api/revocations", (route) => route[begins(route) ? "fulfill" : "continue"](begins(route) ? json({ id: "parted" }, 202) : {}));
  await page.route("**/api/revocations/*", (route) => route.fulfill(json({ id: "parted", state: "running", revoked: "0", startedAt: new Date().toISOString() })));
  await askToRevoke(page);
  await page.getByRole("dialog").getByText("0 of 1").waitFor();
  await context.clearCookies();
  await page.getByText("You have been signed out").waitFor();
  assert.equal(await page.getByText("Nothing was lost").count(), 0);
  await page.getByLabel("API key").fill(world.keys.admin);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("region", { name: "Revocations" }).getByText("the revocation was cut off").waitFor();
}));

test("a revocation that failed is shown after a reload until it is dismissed", () => withPage(broken, async (page) => {
  const at = new Date().toISOString();
  await page.route("**/api/revocations", (route) => route.fulfill(json({ revocations: [{ id: "failed", state: "failed", revoked: "1", startedAt: at, endedAt: at, status: 503, answer: { message: "redis is away", revoked: "1", failed: "3" } }, { id: "well", state: "done", revoked: "1", startedAt: at, endedAt: at, status: 200, answer: { revoked: "1" } }] })));
  await signIn(page, "admin", "#/live");
  const strip = page.getByRole("region", { name: "Revocations" });
  await page.reload();
  await strip.getByText("The revocation has failed").waitFor();
  assert.equal(await strip.locator(".item").count(), 1);
  await strip.getByRole("button", { name: "Dismiss" }).click();
  const listed = page.waitForResponse("**/api/revocations");
  await page.reload();
  await listed;
  await page.locator("#health a").waitFor();
  assert.equal(await strip.locator(".item").count(), 0);
}));

test("a verdict says of when it is, and is asked for again when the session ends", () => withPage(broken, async (page) => {
  await store("brief", 1);
  let asked = 0;
  await page.route("**/api/judge", async (route) => {
    const verdict = await (await route.fetch()).json();
    const now = Date.parse(verdict.now);
    await route.fulfill(json(asked++ === 0 ? { ...verdict, expires: new Date(now + 3000).toISOString() } : { ...verdict, passes: false, status: 401, reason: "expired", expires: verdict.now }));
  });
  await signIn(page, "admin", "#/sessions/brief-0");
  const pane = page.locator(".pane");
  await pane.getByText("Verify lets it pass").waitFor();
  await pane.getByText("As of").waitFor();
  await pane.getByText("Verify refuses it").waitFor();
}));

test("the lifetime of a session that is gone does not go on", () => withPage(broken, async (page) => {
  await store("over", 1);
  await signIn(page, "admin", "#/sessions?user=over");
  await rows(page).first().waitFor();
  await api("DELETE", "/v2/sessions/over-0");
  await rows(page).first().locator("a.open").click();
  const pane = page.locator(".pane");
  await pane.getByText("This session is not there any more").waitFor();
  await pane.getByRole("heading", { name: "What the list had" }).waitFor();
  assert.doesNotMatch(await pane.locator(".timeline").innerText(), / left|\bin \d/);
}));
