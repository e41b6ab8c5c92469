import assert from "node:assert/strict";
import { test } from "node:test";
import { rows, saysTotal, signIn, total, withPage } from "./world.mjs";

test("a key that only reads sees no revoke, and the sidecar refuses it all the same", () => withPage({}, async (page) => {
  await signIn(page, "reader", "#/sessions?user=user-09");
  await rows(page).first().locator("a.open").click();
  await page.locator(".pane").getByText(/Verify (lets it pass|refuses it)/).waitFor();
  assert.equal(await page.getByRole("button", { name: /revoke/i }).count(), 0);
  await page.keyboard.press("r");
  await page.keyboard.press("x");
  assert.equal(await page.getByRole("dialog").count(), 0);
  const before = await total({ userIdQuery: { id: "user-09" } });
  const counted = await page.evaluate(async () => {
    const answer = await fetch("api/revocations", { method: "POST", headers: { "Content-Type": "application/json", "X-Console": localStorage.getItem("console.proof") }, body: JSON.stringify({ queries: [{ userIdQuery: { id: "user-09" } }], dryRun: true }) });
    return answer.json();
  });
  assert.equal(counted.revoked ?? "0", "0");
  assert.equal(await total({ userIdQuery: { id: "user-09" } }), before);
}));

test("a key for one organization sees and ends the sessions of that one", () => withPage({}, async (page) => {
  await signIn(page, "org", "#/sessions?user=user-01");
  await rows(page).first().waitFor();
  const orgs = await page.locator(".srow[data-id] .cell.org").allTextContents();
  assert.deepEqual([...new Set(orgs.map((org) => org.trim()))], ["org-1"]);
  assert.equal(await page.getByRole("button", { name: "Explain" }).count(), 0);

  await page.goto(page.url().replace(/#.*/, "#/sessions?user=end-key"));
  await saysTotal(page, 30);
  await page.getByRole("button", { name: "Revoke all…" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("Only in some organizations").waitFor();
  await dialog.getByLabel(/to confirm/).fill("30");
  await dialog.getByRole("button", { name: "Revoke 30 sessions" }).click();
  await saysTotal(page, 0);
}));

test("a key for one organization is not told how many sessions others have, and why", () => withPage({}, async (page) => {
  await signIn(page, "org", "#/live");
  await page.locator(".chart", { hasText: "Live sessions" }).getByText("This key does not see all sessions.").waitFor();
  await page.locator(".expiries").getByText("This key does not see all sessions.").waitFor();
  await page.goto(page.url().replace(/#.*/, "#/verify"));
  await page.getByText("some organizations").waitFor();
}));
