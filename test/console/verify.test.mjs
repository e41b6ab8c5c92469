import assert from "node:assert/strict";
import { test } from "node:test";
import { signIn, withPage, world } from "./world.mjs";

async function paste(page, text) {
  const field = page.getByLabel("A token, or the ID of a session");
  await field.fill(text);
  await page.getByRole("button", { name: "Ask verify" }).click();
  assert.equal(await field.inputValue(), "");
  return page.getByRole("region", { name: "Verdict of verify" });
}

test("a token says by which policies it passes, and what is missing for others", () => withPage({}, async (page) => {
  await signIn(page, "admin", "#/verify");
  const verdict = await paste(page, world.tokens.good);
  await verdict.getByText("Verify lets it pass").waitFor();
  await verdict.getByText("totp is missing").waitFor();
  await verdict.getByText("/verify/p/org").waitFor();
  await page.getByRole("link", { name: "Open it" }).click();
  await page.locator(".pane").getByText("token-good").first().waitFor();
}));

for (const [name, token, reason] of [["revoked", world.tokens.revoked, "revoked"], ["replaced", world.tokens.replaced, "wrong_token"], ["unknown", `nobody.${"x".repeat(43)}`, "not_found"]]) {
  test(`a token that is ${name} is refused, and it says why`, () => withPage({}, async (page) => {
    await signIn(page, "admin", "#/verify");
    const verdict = await paste(page, token);
    await verdict.getByText("Verify refuses it").waitFor();
    await verdict.getByText(reason, { exact: true }).waitFor();
  }));
}

test("a pasted token goes into a body and nowhere else", () => withPage({}, async (page) => {
  const urls = [];
  page.on("request", (request) => urls.push(request.url()));
  await signIn(page, "admin", "#/verify");
  const verdict = await paste(page, world.tokens.good);
  await verdict.getByText("Verify lets it pass").waitFor();
  const kept = await page.evaluate(() => JSON.stringify([Object.entries(localStorage), Object.entries(sessionStorage), location.href, document.body.innerText]));
  for (const text of [kept, ...urls]) assert.ok(!text.includes(world.tokens.good), text.slice(0, 200));
}));

test("a session is judged by its ID", () => withPage({}, async (page) => {
  await signIn(page, "admin", "#/verify");
  const verdict = await paste(page, "token-replaced");
  await verdict.getByText("Verify lets it pass").waitFor();
}));
