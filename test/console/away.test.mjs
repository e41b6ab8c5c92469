import assert from "node:assert/strict";
import { test } from "node:test";
import { control, eventually, rows, signIn, withPage } from "./world.mjs";

test("Redis goes away and comes back: each view says so, keeps its picture, and recovers by itself", () => withPage({ mayLog: /status of 503/ }, async (page) => {
  await signIn(page, "admin", "#/sessions?user=user-20");
  await rows(page).first().waitFor();
  const found = await rows(page).count();
  const live = await page.context().newPage();
  await live.goto(page.url().replace(/#.*/, "#/live"));
  const health = live.locator("#health");
  await eventually(async () => assert.match(await health.innerText(), /well|good|fine/i), "all is well");

  await control("redis/stop");
  await eventually(async () => assert.match(await health.innerText(), /redis/i), "the strip says that Redis is away");
  await live.getByText(/Redis (is away|does not answer)/i).first().waitFor();
  await page.getByRole("button", { name: "Search again" }).click();
  await page.getByText(/unavailable|is away/i).first().waitFor();

  await control("redis/start");
  await eventually(async () => assert.match(await health.innerText(), /well|good|fine/i), "all is well again");
  await page.locator(".found", { hasText: "session" }).waitFor();
  assert.equal(await page.locator(".notice.bad").count(), 0);
  assert.equal(await rows(page).count(), found);
}));
