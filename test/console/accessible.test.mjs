import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { narrow, rows, signIn, wide, withPage, world } from "./world.mjs";

const axe = await readFile(new URL("node_modules/axe-core/axe.min.js", import.meta.url), "utf8");

const views = {
  "the sign-in": async (page) => page.goto(world.console),
  live: async (page) => signIn(page, "admin", "#/live"),
  sessions: async (page) => {
    await signIn(page, "admin", "#/sessions?user=user-11&explain=1");
    await rows(page).first().waitFor();
  },
  "a session": async (page) => {
    await signIn(page, "admin", "#/sessions?user=user-11");
    await rows(page).first().locator("a.open").click();
    await page.locator(".pane").getByText(/Verify (lets it pass|refuses it)/).waitFor();
  },
  "a verdict": async (page) => {
    await signIn(page, "admin", "#/verify");
    await page.getByLabel("A token, or the ID of a session").fill(world.tokens.good);
    await page.getByRole("button", { name: "Ask verify" }).click();
    await page.getByRole("heading", { name: "Verify lets it pass" }).waitFor();
  },
  "the question before a revocation": async (page) => {
    await signIn(page, "admin", "#/sessions?user=user-12");
    await page.getByRole("button", { name: "Revoke all…" }).click();
    await page.getByText("This cannot be undone").waitFor();
  },
  "the keys": async (page) => {
    await signIn(page, "admin", "#/sessions?user=user-12");
    await page.keyboard.press("?");
    await page.getByRole("dialog").waitFor();
  },
};

const looks = [["light", wide], ["dark", narrow]];

for (const [i, [name, open]] of Object.entries(views).entries()) {
  for (const [j, [colorScheme, viewport]] of looks.entries()) {
    if (!world.turns[(i + j) % world.turns.length]) continue;
    test(`nothing serious is wrong for who needs assistance: ${name}, ${colorScheme}, ${viewport.width} wide`, () => withPage({ colorScheme, viewport }, async (page) => {
      await open(page);
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
      const serious = violations.filter((v) => ["serious", "critical"].includes(v.impact));
      assert.deepEqual(serious.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(" ")).join(", ")}`), []);
    }));
  }
}
