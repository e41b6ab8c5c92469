import assert from "node:assert/strict";
import { test } from "node:test";
import { api, eventually, signIn, withPage, world } from "./world.mjs";

test("the charts and tables move with the requests, and nothing jumps", () => withPage({}, async (page) => {
  await signIn(page, "admin", "#/live");
  await page.locator(".live canvas, .live .u-wrap").first().waitFor();
  await page.evaluate(() => {
    window.shifts = 0;
    new PerformanceObserver((list) => list.getEntries().forEach((entry) => (window.shifts += entry.hadRecentInput ? 0 : entry.value))).observe({ type: "layout-shift" });
  });
  const row = page.getByRole("row", { name: /GET \/v2\/sessions\/\{id\}/ }).filter({ hasText: "http" });
  let asked = 0;
  await eventually(async () => {
    for (let i = 0; i < 20; i++) await api("GET", "/v2/sessions/token-good");
    asked += 20;
    assert.ok(await row.count() > 0, "no row of the route");
    assert.ok(Number((await row.first().innerText()).match(/\d[\d.,]*/g)?.length) > 0);
  }, "the table has the route");
  const before = await row.first().innerText();
  await eventually(async () => {
    for (let i = 0; i < 50; i++) await api("GET", "/v2/sessions/token-good");
    assert.notEqual(await row.first().innerText(), before);
  }, "the row of the route moves");
  assert.ok(asked > 0);
  assert.ok(await page.evaluate(() => window.shifts) < 0.02, "the layout jumps");
}));

test("a refused verify shows up by its reason", () => withPage({}, async (page) => {
  await signIn(page, "admin", "#/live");
  await eventually(async () => {
    await fetch(`${world.api}/verify`, { headers: { Authorization: `Bearer ${world.tokens.revoked}` } });
    assert.ok(await page.getByText("revoked", { exact: true }).count() > 0);
  }, "the reason is in the table");
}));
