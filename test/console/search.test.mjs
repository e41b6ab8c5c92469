import assert from "node:assert/strict";
import { test } from "node:test";
import { api, eventually, rows, saysTotal, search, signIn, total, withPage, world } from "./world.mjs";

test("predicates are chips, the total is exact, and the address holds the search", () => withPage({}, async (page, context) => {
  await signIn(page);
  await search(page, "user:user-07");
  await saysTotal(page, await total({ userIdQuery: { id: "user-07" } }));
  await search(page, "created < 30m");
  await search(page, "device:device-7");
  const narrowed = await total({ userIdQuery: { id: "user-07" } }, { userAgentQuery: { fingerprintId: "device-7" } });
  assert.ok(narrowed > 0);
  await eventually(async () => assert.equal(await rows(page).count() > 0, true), "rows of the narrowed search");
  const address = page.url();
  assert.ok(address.includes("user=user-07") && address.includes("agent=device-7") && address.includes("created="), address);

  const colleague = await context.newPage();
  await colleague.goto(address);
  await colleague.locator(".chip", { hasText: "device-7" }).waitFor();
  assert.equal(await colleague.locator(".chip").count(), 3);

  await page.getByRole("button", { name: /^Remove.*user-07/ }).click();
  await eventually(async () => assert.ok(!page.url().includes("user=user-07")), "the address has no user");
}));

test("the newest come first, and each session once, through all of them", () => withPage({}, async (page) => {
  await signIn(page);
  const all = await total();
  assert.ok(all >= world.sessions);
  await saysTotal(page, all);
  for (;;) {
    const shown = await rows(page).count();
    if (shown >= all) break;
    await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
    await eventually(async () => assert.ok(await rows(page).count() > shown, `${shown} of ${all} rows`), "more rows by scrolling");
  }
  const ids = await rows(page).evaluateAll((all) => all.map((row) => row.dataset.id));
  assert.equal(new Set(ids).size, all);
  const dates = await page.locator(".srow[data-id] .cell.created time").evaluateAll((all) => all.map((time) => Date.parse(time.dateTime)));
  assert.deepEqual(dates, dates.toSorted((a, b) => b - a));
  await page.getByText(`All ${all.toLocaleString("en")} sessions`).waitFor();
}));

test("a search is explained beside it", () => withPage({}, async (page) => {
  await signIn(page, "admin", "#/sessions?user=user-03");
  await page.getByRole("button", { name: "Explain" }).click();
  const shown = page.getByRole("region", { name: "Explanation" });
  await shown.getByText("Round trips").waitFor();
  const { explain } = await api("POST", "/v2/sessions/search", { query: { limit: 100, cursor: "" }, queries: [{ userIdQuery: { id: "user-03" } }], explain: true });
  for (const text of ["Candidates", "Examined", "µs", "Driver", explain.driver.predicate]) await shown.getByText(text, { exact: false }).first().waitFor();
  assert.ok(page.url().includes("explain=1"));
}));

test("a value that is wrong says what is wrong, and nothing is searched for", () => withPage({}, async (page) => {
  await signIn(page);
  await rows(page).first().waitFor();
  const before = page.url();
  await search(page, "created > yesterdayish");
  await page.getByRole("alert").waitFor();
  assert.equal(page.url(), before);
  await search(page, `user:${"x".repeat(201)}`);
  await page.locator("#search-fault", { hasText: "At most 200 characters; these are 201." }).waitFor();
  assert.equal(page.url(), before);
}));

test("a word alone is taken for a user", () => withPage({}, async (page) => {
  await signIn(page);
  await search(page, "user-04");
  await page.locator(".chip", { hasText: "user-04" }).waitFor();
  assert.ok(page.url().includes("user=user-04"), page.url());
}));

test("a session that is opened leaves the list as it is: explained, and as long", () => withPage({}, async (page) => {
  await signIn(page, "admin", "#/sessions?explain=1");
  await rows(page).nth(99).waitFor();
  await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
  await rows(page).nth(150).locator("a.open").click();
  await page.locator(".pane .others a").first().waitFor();
  assert.ok(page.url().includes("explain=1"), page.url());
  assert.ok(await rows(page).count() >= 200);
  assert.ok(await page.getByRole("region", { name: "Explanation" }).isVisible());
  const links = await page.locator(".srow .narrow, .pane .others a").evaluateAll((all) => all.map((link) => link.hash));
  assert.ok(links.length > 200);
  assert.deepEqual(links.filter((hash) => !hash.includes("explain=1")), []);
}));

test("a link with a fault shows nothing that another search found, ends one under way, and revokes nothing", () => withPage({}, async (page) => {
  const go = (hash) => page.evaluate((hash) => (location.hash = hash), hash);
  await signIn(page, "admin", "#/sessions?user=user-03");
  await rows(page).first().waitFor();
  await page.route("**/api/search", () => {}); // The next one never ends.
  const asked = page.waitForRequest("**/api/search");
  await go("#/sessions?user=user-04");
  await asked;
  const ended = page.waitForEvent("requestfailed");
  await go("#/sessions?user=user-04&created=yesterday");
  await page.locator(".chip.bad").waitFor();
  await ended;
  assert.equal(await rows(page).count(), 0);
  assert.equal(await page.locator(".found").textContent(), "");
  assert.ok(await page.getByRole("button", { name: "Revoke all…" }).isDisabled());
  await page.unroute("**/api/search");
  await go("#/sessions?user=user-04");
  await rows(page).first().waitFor();
  assert.ok(await page.getByRole("button", { name: "Revoke all…" }).isEnabled());
}));

test("nothing found says so", () => withPage({}, async (page) => {
  await signIn(page, "admin", "#/sessions?user=nobody-at-all");
  await page.getByText("No session matches all of this").waitFor();
  await saysTotal(page, 0);
}));
