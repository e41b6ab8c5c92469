// Takes the pictures in docs/, of which README and docs/console.md show the best.

import { test } from "node:test";
import { narrow, rows, signIn, wide, withPage } from "./world.mjs";

const dir = process.env.CLOAKROOM_PICTURES;

/** Gives the page time to draw and to fetch what it shows. */
const settle = (page) => page.waitForTimeout(3000);

const views = {
  live: async (page) => {
    await signIn(page, "on-call", "#/live");
    await settle(page);
  },
  session: async (page) => {
    await signIn(page, "on-call", "#/sessions?created=gt:2020-01-01T00:00:00Z");
    await rows(page).nth(45).scrollIntoViewIfNeeded();
    await rows(page).nth(45).locator("a.open").click();
    await page.locator(".pane").getByText(/Verify (lets it pass|refuses it)/).waitFor();
    await settle(page);
  },
};

for (const [name, viewport, colorScheme] of [["light", wide, "light"], ["dark", wide, "dark"], ["narrow", narrow, "light"]]) {
  for (const [view, open] of Object.entries(views)) {
    test(`${view}, ${name}`, () => withPage({ viewport, colorScheme }, async (page) => {
      await open(page);
      await page.screenshot({ path: `${dir}/console-${view}-${name}.png` });
    }));
  }
}
