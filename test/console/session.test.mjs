import assert from "node:assert/strict";
import { test } from "node:test";
import { api, eventually, narrow, rows, search, signIn, wide, withPage } from "./world.mjs";

for (const viewport of [wide, narrow]) {
  test(`a session opens with all that is known of it, ${viewport.width} wide`, () => withPage({ viewport }, async (page) => {
    await signIn(page, "admin", "#/sessions?user=user-05");
    await rows(page).first().locator("a.open").click();
    const pane = page.locator(".pane");
    const id = decodeURIComponent(page.url().match(/#\/sessions\/([^?]+)/)[1]);
    await pane.getByText("User user-05").first().waitFor();
    for (const text of [id, "user-05@example.com", "Firefox on Linux", "cart", "42", "accept-language"]) await pane.getByText(text, { exact: false }).first().waitFor({ state: "attached" });
    await pane.getByText(/Verify (lets it pass|refuses it)/).waitFor();
    await pane.locator(".timeline, [class*=timeline]").first().waitFor();
    const { session } = await api("GET", `/v2/sessions/${id}`);
    await pane.getByText(/other sessions? of this user/i).first().waitFor(); // by then the pane shows what is stored
    await pane.locator("details.raw summary").click();
    await eventually(async () => assert.deepEqual(JSON.parse(await pane.locator("details.raw pre").textContent()), session), "the JSON is that of the API");
    await page.keyboard.press("u");
    await pane.waitFor({ state: "hidden" });
    assert.ok(page.url().endsWith("#/sessions?user=user-05"), page.url());
  }));
}

test("a session that is gone says so", () => withPage({ mayLog: /status of 404/ }, async (page) => {
  await signIn(page, "admin", "#/sessions/no-such-session");
  await page.getByText("This session is not there any more").waitFor();
  await page.getByText("not_found").waitFor();
}));

test("its user's other sessions are there", () => withPage({}, async (page) => {
  await signIn(page);
  await search(page, "user:user-06");
  await rows(page).first().locator("a.open").click();
  await page.locator(".pane").getByText(/other session/i).first().waitFor();
}));
