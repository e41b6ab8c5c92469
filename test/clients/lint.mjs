// Lints an OpenAPI document with Redocly's recommended rules: node lint.mjs FILE. It fails with an error or a warning.
import { createConfig, lintFromString } from "@redocly/openapi-core";
import { readFile } from "node:fs/promises";

const problems = await lintFromString({
  source: await readFile(process.argv[2], "utf8"), absoluteRef: process.argv[2], config: await createConfig({ extends: ["recommended"] }),
});
for (const { severity, ruleId, message, location } of problems) {
  console.log(`${severity}: ${ruleId}: ${message} (${location[0]?.pointer})`);
}
console.log(`${problems.length} problems`);
process.exitCode = problems.length > 0 ? 1 : 0;
