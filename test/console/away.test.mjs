import assert from "node:assert/strict";
import { test } from "node:test";
import { control, eventually, rows, saysTotal, signIn, withPage } from "./world.mjs";

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

  const line = live.locator(".parts li", { hasText: /^redis is bad/ });
  for (const other of [/^breaker is bad/, /^near cache is warn/]) await live.locator(".parts li", { hasText: other }).waitFor();
  await line.locator(".do").selectText();
  const said = await line.textContent();
  await eventually(async () => assert.notEqual(await line.textContent(), said), "the line of Redis moves");
  assert.match(await live.evaluate(() => String(getSelection())), /redis-cli/, "the advice that was selected is no longer");

  await rows(page).first().locator("a.open").click();
  const pane = page.locator(".pane");
  await pane.getByText("The sidecar cannot tell now (503)").first().waitFor();
  await pane.locator(".waiting").waitFor({ state: "detached" });
  assert.equal(await pane.locator(".notice").count(), 1);
  assert.ok(await pane.getByRole("button", { name: "Revoke…" }).isVisible());

  await control("redis/start");
  await eventually(async () => assert.match(await health.innerText(), /well|good|fine/i), "all is well again");
  await pane.getByRole("button", { name: "Try again" }).click();
  await pane.getByText(/Verify (lets it pass|refuses it)/).waitFor();
  await page.getByRole("button", { name: "Search again" }).click();
  await eventually(async () => assert.equal(await rows(page).count(), found), "the sessions are there again");
  await saysTotal(page, found);
}));
