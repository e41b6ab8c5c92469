// The sample of docs/clients.md is sample.mjs, and it runs.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { keys } from "./cloakroom.mjs";

test("the sample of docs/clients.md", async () => {
  const read = (file) => readFile(new URL(file, import.meta.url), "utf8");
  const [, sample] = /```js\n(.*?)```/s.exec(await read("../../docs/clients.md"));
  assert.equal(sample, await read("sample.mjs"));
  process.env.CLOAKROOM_KEY = keys.admin;
  const { session } = await import("./sample.mjs");
  assert.equal(session.factors.user.id, "alice");
});
