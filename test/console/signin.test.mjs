import assert from "node:assert/strict";
import { test } from "node:test";
import { control, signIn, withPage, world } from "./world.mjs";

test("a wrong key is refused, a right one signs in where one wanted to go", () => withPage({}, async (page, context) => {
  await page.goto(`${world.console}#/sessions?user=user-01`);
  await page.getByLabel("API key").fill("ck_wrong");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("No such key").waitFor();
  await page.getByLabel("API key").fill(world.keys.admin);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.locator(".chip", { hasText: "user-01" }).waitFor();

  const cookies = await context.cookies();
  assert.equal(cookies.length, 1);
  assert.deepEqual([cookies[0].httpOnly, cookies[0].sameSite, cookies[0].path], [true, "Strict", "/console/"]);
  const kept = await page.evaluate(() => JSON.stringify([Object.entries(localStorage), Object.entries(sessionStorage), document.cookie, location.href]));
  assert.ok(!kept.includes(world.keys.admin) && !kept.includes(cookies[0].value), kept);

  await page.reload();
  await page.locator(".chip", { hasText: "user-01" }).waitFor();
}));

// A server on another port of the host gets the cookie, and has no way to the proof.
test("the cookie without the proof of this origin opens nothing", () => withPage({}, async (page, context) => {
  await signIn(page);
  const [cookie] = await context.cookies();
  const answer = await context.request.get(`${world.console}api/me`, { headers: { "X-Console": "1", Cookie: `${cookie.name}=${cookie.value}` } });
  assert.equal(answer.status(), 401);
  await page.evaluate(() => localStorage.clear());
  await page.reload();
  await page.getByLabel("API key").waitFor();
}));

test("signing out ends it", () => withPage({}, async (page, context) => {
  await signIn(page);
  const [cookie] = await context.cookies();
  await page.locator("#account").click();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("API key").waitFor();
  assert.equal(await page.evaluate(() => localStorage.getItem("console.proof")), null);
  await context.addCookies([cookie]);
  await page.reload();
  await page.getByLabel("API key").waitFor();
}));

test("a sign-in that has ended says why, and leads back", () => withPage({}, async (page, context) => {
  await signIn(page, "admin", "#/sessions?user=user-02");
  await page.locator(".chip", { hasText: "user-02" }).waitFor();
  await context.clearCookies();
  await page.getByRole("button", { name: "Search again" }).click();
  await page.getByText("You have been signed out").waitFor();
  await page.getByLabel("API key").fill(world.keys.admin);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.locator(".chip", { hasText: "user-02" }).waitFor();
}));

test("a key that is taken out of the keys file ends its sign-ins", () => withPage({}, async (page) => {
  await signIn(page, "leaving", "#/live");
  await control("keys/remove?name=leaving");
  await page.getByText("You have been signed out").waitFor();
}));
