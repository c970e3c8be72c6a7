/** Each package-lock.json serves every platform, wherever it was written. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";

describe("package-lock.json", () => {
  // npm leaves out what its registry does not have for another platform; npm ci then refuses the lock file everywhere.
  for (const path of ["package-lock.json", "test/runtimes/package-lock.json"]) {
    test(`names the optional packages of all platforms: ${path}`, () => assert.deepEqual(missingIn(path), []));
  }
});

/** @param {string} path */
function missingIn(path) {
  /** @type {{ packages: Record<string, { optionalDependencies?: Record<string, string> }> }} */
  const lock = JSON.parse(readFileSync(new URL(`../../${path}`, import.meta.url), "utf8"));
  return Object.entries(lock.packages).flatMap(([path, entry]) =>
    Object.keys(entry.optionalDependencies ?? {}).filter(
      (name) => !(`node_modules/${name}` in lock.packages) && !(`${path}/node_modules/${name}` in lock.packages),
    ),
  );
}
