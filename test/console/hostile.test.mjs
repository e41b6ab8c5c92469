import assert from "node:assert/strict";
import { test } from "node:test";
import { narrow, rows, saysTotal, signIn, wide, withPage, world } from "./world.mjs";

for (const viewport of [wide, narrow]) {
  test(`what is hostile is shown as text and does nothing, ${viewport.width} wide`, () => withPage({ viewport }, async (page) => {
    await signIn(page, "admin", "#/sessions?user=hostile");
    await saysTotal(page, world.hostile);
    const ids = await rows(page).evaluateAll((all) => all.map((row) => row.dataset.id));
    await inert(page);
    for (const id of ids) {
      await page.goto(`${world.console}#/sessions/${id}?user=hostile`);
      const pane = page.locator(".pane");
      await pane.getByText(id).first().waitFor();
      await pane.getByText(/Verify (lets it pass|refuses it)/).waitFor();
      await pane.getByText(/other sessions? of this user/i).first().waitFor(); // by then the pane shows what is stored
      await pane.locator("details.raw summary").click();
      await inert(page);
    }
  }));
}

test("what cannot be seen is made visible", () => withPage({}, async (page) => {
  await signIn(page, "admin", "#/sessions/hostile-3?user=hostile");
  await page.locator(".pane").getByText("\\u202E", { exact: false }).first().waitFor();
  await page.goto(`${world.console}#/sessions/hostile-6?user=hostile`);
  await page.locator(".pane").getByText("\\u200B", { exact: false }).first().waitFor();
}));

test("a search for markup is text, too", () => withPage({}, async (page) => {
  await signIn(page, "admin", `#/sessions?user=${encodeURIComponent("<img src=x onerror=window.hacked=1>")}`);
  await page.locator(".chip", { hasText: "<img src=x" }).waitFor();
  await inert(page);
}));

/** No markup has come to life, nothing ran, and nothing is wider than the page. */
async function inert(page) {
  const found = await page.evaluate(() => ({
    hacked: window.hacked, images: document.querySelectorAll("img, iframe, object, embed").length, scripts: [...document.scripts].filter((s) => !s.src.startsWith(location.origin)).length,
    over: document.documentElement.scrollWidth - innerWidth,
  }));
  assert.deepEqual({ ...found, over: Math.max(0, found.over) }, { hacked: undefined, images: 0, scripts: 0, over: 0 });
}
