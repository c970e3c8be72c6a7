/** Prints the options of `clamgate scan` into docs/cli.md, between its two marks. */

import { readFile, writeFile } from "node:fs/promises";
import { commandNamed } from "../src/cli/commands.ts";
import { optionsAsMarkdown } from "../src/cli/help.ts";

const path = new URL("./cli.md", import.meta.url);
const scan = commandNamed("scan");
if (scan === null) throw new Error("there is no command scan");
const [before = "", , after = ""] = (await readFile(path, "utf8")).split(/<!-- options -->\n|<!-- end of options -->\n/);
await writeFile(path, `${before}<!-- options -->\n${optionsAsMarkdown(scan)}\n<!-- end of options -->\n${after}`);
