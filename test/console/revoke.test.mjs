import assert from "node:assert/strict";
import { test } from "node:test";
import { rows, saysTotal, signIn, total, withPage } from "./world.mjs";

const ofUser = (id) => ({ userIdQuery: { id } });

async function confirm(page, n) {
  const dialog = page.getByRole("dialog");
  await dialog.getByText("This cannot be undone").waitFor();
  await dialog.locator(".figure", { hasText: String(n) }).waitFor();
  const yes = dialog.getByRole("button", { name: n === 1 ? "Revoke it" : `Revoke ${n} sessions` });
  if (n > 20) {
    assert.ok(await yes.isDisabled());
    await dialog.getByLabel(/to confirm/).fill(String(n));
  }
  await yes.click();
  await dialog.getByText(/revoked/i).first().waitFor();
  await dialog.getByRole("button", { name: "Close" }).last().click();
  await dialog.waitFor({ state: "hidden" });
}

test("one session is revoked, and no other", () => withPage({ mayLog: /status of 404/ }, async (page) => {
  await signIn(page, "admin", "#/sessions?user=end-one");
  await rows(page).first().locator("a.open").click();
  await page.locator(".pane").getByRole("button", { name: "Revoke…" }).click();
  await confirm(page, 1);
  assert.equal(await total(ofUser("end-one")), 29);
  await page.locator(".pane").getByText("revoked", { exact: true }).waitFor();
}));

test("all sessions of a user are revoked", () => withPage({ mayLog: /status of 404/ }, async (page) => {
  await signIn(page, "admin", "#/sessions?user=end-all");
  await rows(page).first().locator("a.open").click();
  await page.getByRole("button", { name: "Revoke all of this user…" }).click();
  await confirm(page, 30);
  assert.equal(await total(ofUser("end-all")), 0);
}));

test("all that match are revoked, those too that are not on the page", () => withPage({}, async (page) => {
  await signIn(page, "admin", "#/sessions?agent=device-end-match");
  await saysTotal(page, 30);
  await page.getByRole("button", { name: "Revoke all…" }).click();
  await confirm(page, 30);
  await saysTotal(page, 0);
  assert.equal(await total(ofUser("end-match")), 0);
}));

test("a dialog that is closed revokes nothing", () => withPage({}, async (page) => {
  const before = await total();
  await signIn(page);
  await rows(page).first().waitFor();
  await page.getByRole("button", { name: "Revoke all…" }).click();
  await page.getByText("There is no predicate").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "hidden" });
  assert.equal(await total(), before);
}));
