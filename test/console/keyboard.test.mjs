import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually, rows, signIn, withPage } from "./world.mjs";

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
