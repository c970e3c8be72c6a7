import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { commandNamed, commands } from "../../src/cli/commands.ts";
import { completionFor } from "../../src/cli/completion.ts";
import { helpOf, optionsAsMarkdown } from "../../src/cli/help.ts";

describe("the table of commands", () => {
  test("stands in docs/cli.md as the code prints it, with every command", async () => {
    const text = await readFile(new URL("../../docs/cli.md", import.meta.url), "utf8");
    const scan = commandNamed("scan");
    assert.ok(scan !== null && text.includes(optionsAsMarkdown(scan)), "node docs/renew-cli.ts renews it");
    for (const { name } of commands) assert.ok(text.includes(`clamgate ${name}`), name);
  });

  test("is whole in the help, and in what each shell is given", () => {
    for (const command of commands) {
      for (const { name } of command.options) {
        assert.ok(helpOf(command).includes(`--${name}`), name);
        for (const shell of ["bash", "zsh"]) assert.ok(completionFor([shell]).includes(`--${name}`), `${shell} ${name}`);
        assert.ok(completionFor(["fish"]).includes(`-l ${name} `), `fish ${name}`);
      }
    }
    assert.throws(() => completionFor([]), /name one shell/);
    assert.throws(() => completionFor(["tcsh"]), /name one shell/);
  });

  test("lets no quote of its texts end one of a shell's", async () => {
    // Both quote as a POSIX shell does; they are read by one here, as words.
    for (const shell of ["zsh", "fish"]) {
      const quoted = completionFor([shell]).match(/'(?:[^']|'\\'')*'/g) ?? [];
      assert.ok(
        quoted.some((text) => text.includes("gateway'\\''s API key")),
        shell,
      );
    }
  });
});
