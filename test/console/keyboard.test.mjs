import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually, narrow, rows, signIn, withPage } from "./world.mjs";

test("an operator needs no mouse", () => withPage({}, async (page) => {
  await signIn(page, "admin", "#/live");
  await page.locator("#topbar").waitFor();
  await page.keyboard.press("/");
  await eventually(async () => assert.equal(await page.evaluate(() => document.activeElement.getAttribute("aria-label")), "Search sessions"), "the search has the focus");
  await page.keyboard.type("user:user-10");
  await page.keyboard.press("Enter");
  await page.locator(".chip", { hasText: "user-10" }).waitFor();
  await rows(page).first().waitFor();
  await page.keyboard.press("Escape");
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  await page.keyboard.press("k");
  await page.keyboard.press("o");
  await page.locator(".pane").getByText("User user-10").first().waitFor();
  await page.keyboard.press("r");
  const dialog = page.getByRole("dialog");
  await dialog.getByText("This cannot be undone").waitFor();
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "hidden" });
  await page.keyboard.press("u");
  await page.locator(".pane").waitFor({ state: "hidden" });
  await page.keyboard.press("e");
  await page.getByRole("region", { name: "Explanation" }).waitFor();
  await page.keyboard.press("?");
  await dialog.getByText("Light or dark").waitFor();
  await page.keyboard.press("Escape");
  await page.keyboard.press("g");
  await page.keyboard.press("v");
  await page.getByLabel("A token, or the ID of a session").waitFor();
}));

test("keys that are typed into a field are text", () => withPage({}, async (page) => {
  await signIn(page, "admin", "#/sessions");
  await rows(page).first().waitFor();
  await page.keyboard.press("/");
  await page.keyboard.type("rxj?");
  assert.equal(await page.getByRole("combobox").inputValue(), "rxj?");
  assert.equal(await page.getByRole("dialog").count(), 0);
}));

test("chips that are edited one after the other, and left, are as before", () => withPage({}, async (page) => {
  await signIn(page, "admin", "#/sessions?user=user-03&agent=device-3");
  const chips = page.locator(".chip .edit");
  await chips.nth(1).waitFor();
  const before = await chips.allTextContents();
  await page.keyboard.press("/");
  for (const key of ["Backspace", "Home", "Backspace"]) await page.keyboard.press(key);
  assert.equal(await page.getByRole("combobox").inputValue(), "user:user-03");
  assert.equal(await chips.count(), 1);
  await page.getByRole("combobox").blur();
  assert.deepEqual(await chips.allTextContents(), before);
}));

test("Escape closes the account before the session", () => withPage({}, async (page) => {
  await signIn(page, "admin", "#/sessions?user=user-05");
  await rows(page).first().locator("a.open").click();
  const [pane, account] = [page.locator(".pane"), page.locator("#account-panel")];
  await pane.waitFor();
  await page.locator("#account").click();
  await account.waitFor();
  await page.keyboard.press("Escape");
  await account.waitFor({ state: "hidden" });
  assert.ok(await pane.isVisible());
  await page.keyboard.press("Escape");
  await pane.waitFor({ state: "hidden" });
}));

test("where an open session hides the list, j and k open the next one and the one before, and / goes back to the search", () => withPage({ viewport: narrow }, async (page) => {
  await signIn(page, "admin", "#/sessions?user=user-05");
  await rows(page).first().locator("a.open").click();
  const pane = page.locator(".pane");
  await pane.waitFor();
  const ids = await rows(page).evaluateAll((all) => all.map((row) => row.dataset.id));
  for (const [key, id] of [["j", ids[1]], ["j", ids[2]], ["k", ids[1]]]) {
    await page.keyboard.press(key);
    await eventually(async () => assert.ok(page.url().includes(`/${id}?`), page.url()), `${key} opens ${id}`);
  }
  await page.keyboard.press("/");
  await pane.waitFor({ state: "hidden" });
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute("aria-label")), "Search sessions");
}));
