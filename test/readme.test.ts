import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { settingsAsMarkdown } from "../src/config/print-settings.ts";
import { settings } from "../src/config/settings.ts";

describe("the README", () => {
  test("has the settings table as the code prints it", async () => {
    const readme = await readFile(new URL("../README.md", import.meta.url), "utf8");
    assert.ok(readme.includes(settingsAsMarkdown(settings)), "npm run docs renews it");
  });
});
