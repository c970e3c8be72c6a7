/** Puts the settings table, as the code prints it, into the README. */

import { readFile, writeFile } from "node:fs/promises";
import { settingsAsMarkdown } from "../src/config/print-settings.ts";
import { settings } from "../src/config/settings.ts";

const readme = new URL("../README.md", import.meta.url);
const begin = "<!-- settings: printed by the code, `npm run docs` renews it -->\n";
const end = "<!-- end of settings -->";

const text = await readFile(readme, "utf8");
const [before, rest] = split(text, begin);
const [, after] = split(rest, end);
await writeFile(readme, `${before}${begin}\n${settingsAsMarkdown(settings)}\n${end}${after}`);

function split(whole: string, at: string): readonly [string, string] {
  const index = whole.indexOf(at);
  if (index === -1) throw new Error(`README.md has no line ${at.trim()}`);
  return [whole.slice(0, index), whole.slice(index + at.length)];
}
