#!/usr/bin/env node
/** argv → command; the only reader of argv, environment and signals. */

import { readFile } from "node:fs/promises";
import { enableCompileCache } from "node:module";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { type Arguments, type CommandName, commandNamed, parseArguments, UsageError } from "./cli/commands.ts";
import { helpOf, helpOfAll } from "./cli/help.ts";
import type { Config } from "./config/settings.ts";
import { messageOf } from "./core/errors.ts";

/** As other programs call them. */
const aliases: Readonly<Record<string, CommandName>> = { "--version": "version", "--help": "help", "-h": "help" };

// The package finds itself by its name: from src/ in a checkout, from dist/src/ where it is installed.
const manifestUrl = import.meta.resolve("clamgate/package.json");

// Beside the dependencies, and as much to be trusted as they are. Where it cannot be written, all is compiled at each start.
enableCompileCache(fileURLToPath(new URL("node_modules/.cache/clamgate", manifestUrl)));

process.exitCode = await main(process.argv.slice(2));

async function main([word, ...rest]: readonly string[]): Promise<number> {
  const command = commandNamed(word === undefined ? undefined : (aliases[word] ?? word));
  if (command === null) {
    process.stderr.write(
      word === undefined ? helpOfAll() : `clamgate: there is no command ${JSON.stringify(word)}\n\n${helpOfAll()}`,
    );
    return 2;
  }
  try {
    const given = parseArguments(command, rest);
    if (!given.isOn("help")) return await run(command.name, given, rest);
    process.stdout.write(helpOf(command));
    return 0;
  } catch (error) {
    const message = messageOf(error);
    if (error instanceof UsageError) {
      process.stderr.write(`clamgate ${command.name}: ${message}\nclamgate help ${command.name} tells more.\n`);
      return 2;
    }
    process.stderr.write(`clamgate: ${message}\n`);
    // 1 says of a scan that something is blocked.
    return command.name === "scan" ? 2 : 1;
  }
}

/** What a command needs is loaded when it is run: a scan starts without the gateway. */
async function run(name: CommandName, given: Arguments, args: readonly string[]): Promise<number> {
  switch (name) {
    case "serve": {
      const { serve } = await import("./app/commands/serve.ts");
      const allowsTestSignatures = given.isOn("allow-test-signatures");
      return await withConfig(async (config, warnings) =>
        serve({ config, warnings, allowsTestSignatures, version: await version(), process }),
      );
    }
    case "scan": {
      const { scanCommand } = await import("./cli/scan.ts");
      const told = await version();
      return await scanCommand({
        arguments: given,
        process,
        version: told,
        async openLocal(signal) {
          const { openLocalGateway } = await import("./app/local-gateway.ts");
          return await openLocalGateway({ environment: process.env, version: told, signal });
        },
      });
    }
    case "settings": {
      const { settingsAsMarkdown, settingsAsText } = await import("./config/print-settings.ts");
      const { settings } = await import("./config/settings.ts");
      process.stdout.write(given.isOn("markdown") ? settingsAsMarkdown(settings) : settingsAsText(settings));
      return 0;
    }
    case "keys": {
      const { runKeysCommand } = await import("./app/commands/keys.ts");
      const keys = commandNamed(name);
      return await runKeysCommand({
        args,
        file: process.env.API_KEYS_FILE,
        usage: keys === null ? "" : helpOf(keys),
        stdout: (text) => process.stdout.write(text),
        stderr: (text) => process.stderr.write(text),
      });
    }
    case "healthcheck": {
      const { checkHealth } = await import("./app/commands/healthcheck.ts");
      return await withConfig((config) => checkHealth(config, process.stdout));
    }
    case "completion": {
      const { completionFor } = await import("./cli/completion.ts");
      process.stdout.write(completionFor(given.operands));
      return 0;
    }
    case "version":
      process.stdout.write(`${await version()}\n`);
      return 0;
    case "help": {
      const [wanted] = given.operands;
      const command = commandNamed(wanted);
      if (wanted !== undefined && command === null) throw new UsageError(`there is no command ${JSON.stringify(wanted)}`);
      process.stdout.write(command === null ? helpOfAll() : helpOf(command));
      return 0;
    }
  }
}

async function withConfig(run: (config: Config, warnings: readonly string[]) => Promise<number>): Promise<number> {
  const { readConfig } = await import("./config/read-config.ts");
  const reading = readConfig(process.env, { cwd: process.cwd(), cores: availableParallelism() });
  switch (reading.kind) {
    case "config":
      return run(reading.config, reading.warnings);
    case "faults":
      process.stderr.write(reading.faults.map((fault) => `ERROR: ${fault}\n`).join(""));
      return 1;
  }
}

async function version(): Promise<string> {
  const manifest: unknown = JSON.parse(await readFile(new URL(manifestUrl), "utf8"));
  return manifest !== null && typeof manifest === "object" && "version" in manifest ? String(manifest.version) : "unknown";
}
