// Modules of the page, for tests without a browser.
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

/** Imports a module of the page, such as "live/livestore.js": from a copy that says it has modules, which older versions of Node.js have to be told. */
export async function pageModule(name) {
  const copy = mkdtempSync(join(tmpdir(), "page-"));
  try {
    cpSync(new URL("../../httpapi/console/page/", import.meta.url), copy, { recursive: true });
    writeFileSync(join(copy, "package.json"), '{"type":"module"}');
    return await import(pathToFileURL(join(copy, name)));
  } finally {
    rmSync(copy, { recursive: true });
  }
}
