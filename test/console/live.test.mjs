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
  const row = page.getByRole("row", { name: /GET \/v2\/sessions\/\{id\}/ }).filter({ hasNotText: "console" });
  await eventually(async () => {
    for (let i = 0; i < 20; i++) await api("GET", "/v2/sessions/token-good");
    assert.ok(await row.count() > 0, "no row of the route");
    assert.ok(Number((await row.first().innerText()).match(/\d[\d.,]*/g)?.length) > 0);
  }, "the table has the route");
  const before = await row.first().innerText();
  const drawn = await pixels(page);
  assert.ok(drawn.some((one) => one.inks > 1), "nothing is drawn");
  await eventually(async () => {
    for (let i = 0; i < 50; i++) await api("GET", "/v2/sessions/token-good");
    assert.notEqual(await row.first().innerText(), before);
  }, "the row of the route moves");
  await eventually(async () => {
    await api("GET", "/v2/sessions/token-good");
    assert.notDeepEqual(await pixels(page), drawn);
  }, "the pictures of the charts move");
  assert.ok(await page.evaluate(() => window.shifts) < 0.02, "the layout jumps");
}));

test("a refused verify shows up by its reason", () => withPage({}, async (page) => {
  await signIn(page, "admin", "#/live");
  await eventually(async () => {
    await fetch(`${world.api}/verify`, { headers: { Authorization: `Bearer ${world.tokens.revoked}` } });
    assert.ok(await page.getByText("revoked", { exact: true }).count() > 0);
  }, "the reason is in the table");
}));

/** What the canvases show: a sum over all pixels, and how many pixels differ from those before them. */
function pixels(page) {
  return page.locator(".live canvas").evaluateAll((all) => all.filter((canvas) => canvas.width && canvas.height).map((canvas) => {
    const all = new Uint32Array(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer);
    let sum = 0;
    let inks = 1;
    all.forEach((pixel, i) => {
      sum = (Math.imul(sum, 31) + pixel) | 0;
      if (i && pixel !== all[i - 1]) inks++;
    });
    return { sum, inks };
  }));
}
