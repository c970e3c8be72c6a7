/** Puts the settings table, as the code prints it, into docs/settings.md. */

import { readFile, writeFile } from "node:fs/promises";
import { settingsAsMarkdown } from "../src/config/print-settings.ts";
import { settings } from "../src/config/settings.ts";

const document = new URL("./settings.md", import.meta.url);
const begin = "<!-- settings: printed by the code, `npm run docs` renews it -->\n";
const end = "<!-- end of settings -->";

const text = await readFile(document, "utf8");
const [before, rest] = split(text, begin);
const [, after] = split(rest, end);
await writeFile(document, `${before}${begin}\n${settingsAsMarkdown(settings)}\n${end}${after}`);

function split(whole: string, at: string): readonly [string, string] {
  const index = whole.indexOf(at);
  if (index === -1) throw new Error(`docs/settings.md has no line ${at.trim()}`);
  return [whole.slice(0, index), whole.slice(index + at.length)];
}
