#!/usr/bin/env node
/** argv → command; the only reader of argv, environment and signals. */

import { readFile } from "node:fs/promises";
import { enableCompileCache } from "node:module";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { settingsAsMarkdown, settingsAsText } from "./config/print-settings.ts";
import { readConfig } from "./config/read-config.ts";
import { type Config, settings } from "./config/settings.ts";
import { messageOf } from "./core/errors.ts";

const help = `clamgate: an antivirus gateway powered by ClamAV

Usage: clamgate COMMAND

  serve         runs the gateway until SIGTERM or SIGINT
                --allow-test-signatures  where no signatures can be had yet, goes on with the built-in
                                         test signatures (EICAR), marked in every answer; not for production
  settings      prints the environment variables that configure it   [--markdown]
  keys          creates, lists and revokes the keys of clients (API_KEYS_FILE)   create | list | revoke
  healthcheck   asks the gateway on this machine whether it is ready; exit 0 when it is
  version       prints the version
  help          prints this
`;

// The package finds itself by its name: from src/ in a checkout, from dist/src/ where it is installed.
const manifestUrl = import.meta.resolve("clamgate/package.json");

// Beside the dependencies, and as much to be trusted as they are. Where it cannot be written, all is compiled at each start.
enableCompileCache(fileURLToPath(new URL("node_modules/.cache/clamgate", manifestUrl)));

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  try {
    const [command, ...rest] = args;
    switch (command) {
      case "serve": {
        const { values } = parseArgs({ args: rest, options: { "allow-test-signatures": { type: "boolean", default: false } } });
        const { serve } = await import("./app/serve.ts");
        return await withConfig(async (config, warnings) =>
          serve({ config, warnings, allowsTestSignatures: values["allow-test-signatures"], version: await version(), process }),
        );
      }
      case "settings": {
        const { values } = parseArgs({ args: rest, options: { markdown: { type: "boolean", default: false } } });
        process.stdout.write(values.markdown ? settingsAsMarkdown(settings) : settingsAsText(settings));
        return 0;
      }
      case "keys": {
        const { runKeysCommand } = await import("./app/keys-command.ts");
        return await runKeysCommand({
          args: rest,
          file: process.env.API_KEYS_FILE,
          stdout: (text) => process.stdout.write(text),
          stderr: (text) => process.stderr.write(text),
        });
      }
      case "healthcheck": {
        parseArgs({ args: rest, options: {} });
        const { checkHealth } = await import("./app/healthcheck.ts");
        return await withConfig((config) => checkHealth(config, process.stdout));
      }
      case "version":
      case "--version":
        process.stdout.write(`${await version()}\n`);
        return 0;
      case "help":
      case "--help":
      case "-h":
        process.stdout.write(help);
        return 0;
      default:
        process.stderr.write(
          command === undefined ? help : `clamgate: there is no command ${JSON.stringify(command)}\n\n${help}`,
        );
        return 2;
    }
  } catch (error) {
    process.stderr.write(`clamgate: ${messageOf(error)}\n`);
    return 1;
  }
}

async function withConfig(run: (config: Config, warnings: readonly string[]) => Promise<number>): Promise<number> {
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
