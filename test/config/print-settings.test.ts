import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { wholeNumber } from "../../src/config/numbers.ts";
import { choice, secret } from "../../src/config/parser.ts";
import { settingsAsMarkdown, settingsAsText } from "../../src/config/print-settings.ts";
import { derived, setting, unset, written } from "../../src/config/setting.ts";
import { settings } from "../../src/config/settings.ts";

const few = [
  setting({
    name: "LOG_LEVEL",
    group: "Running",
    parser: choice("a level", ["info", "warn"]),
    default: written("info"),
    help: "Lines `below` it.",
  }),
  setting({
    name: "PORT",
    group: "Addresses",
    parser: wholeNumber({ from: 1, to: 9 }),
    default: derived("PORTS | 1", () => 1),
    help: "A | B.",
  }),
  setting({ name: "KEY", group: "Running", parser: secret(), default: unset, help: "A key." }),
];

describe("settingsAsText", () => {
  test("aligns names and defaults, group by group, without Markdown", () => {
    assert.equal(
      settingsAsText(few),
      [
        "Addresses",
        "  PORT       PORTS | 1  A | B.",
        "                        Allowed: whole numbers from 1 to 9",
        "",
        "Running",
        "  LOG_LEVEL  info       Lines below it.",
        "                        Allowed: info, warn",
        "  KEY        unset      A key.",
        "                        Allowed: characters without control characters",
        "",
      ].join("\n"),
    );
  });

  test("prints nothing for no settings", () => {
    assert.equal(settingsAsText([]), "");
  });
});

describe("settingsAsMarkdown", () => {
  test("makes one table for each group and keeps a bar inside its cell", () => {
    assert.equal(
      settingsAsMarkdown(few),
      [
        "### Addresses",
        "",
        "| Setting | Default | What it does | Allowed |",
        "| --- | --- | --- | --- |",
        "| `PORT` | PORTS \\| 1 | A \\| B. | whole numbers from 1 to 9 |",
        "",
        "### Running",
        "",
        "| Setting | Default | What it does | Allowed |",
        "| --- | --- | --- | --- |",
        "| `LOG_LEVEL` | `info` | Lines `below` it. | info, warn |",
        "| `KEY` | unset | A key. | characters without control characters |",
        "",
      ].join("\n"),
    );
  });

  test("takes the headings' level", () => {
    assert.match(settingsAsMarkdown(few, { headingLevel: 2 }), /^## Addresses\n/);
  });

  test("prints every setting once, each row with four cells", () => {
    const rows = settingsAsMarkdown(settings)
      .split("\n")
      .filter((line) => line.startsWith("| `"));
    assert.deepEqual(
      rows.map((row) => row.split("`")[1]),
      settings.map(({ name }) => name),
    );
    for (const row of rows) assert.equal(row.split(/(?<!\\)\|/).length, 6, row);
  });
});
