/** The table of commands and options: what is parsed, printed as help, completed by shells and told in docs/cli.md. */

import { type ParseArgsOptionsConfig, parseArgs } from "node:util";
import { messageOf } from "../core/errors.ts";
import { scopes } from "../core/scope.ts";
import { unscannableReasons } from "../core/verdict.ts";

export interface Option {
  readonly name: string;
  readonly short?: string;
  /** Without one it is a switch. */
  readonly value?: OptionValue;
  readonly isRepeatable?: true;
  /** Sentences. */
  readonly help: string;
}

export interface OptionValue {
  /** As `FILE`. */
  readonly name: string;
  /** What a shell offers: files, or words. */
  readonly completes: "files" | readonly string[] | null;
  readonly default?: string;
}

export type CommandName = "serve" | "scan" | "settings" | "keys" | "healthcheck" | "completion" | "version" | "help";

export interface Command {
  readonly name: CommandName;
  /** Reads on from the name, in lists of commands. */
  readonly summary: string;
  /** What stands behind the options; empty where nothing does. */
  readonly operands: string;
  /** What a shell offers for an operand. */
  readonly completes: "files" | "commands" | readonly string[] | null;
  /** Paragraphs. */
  readonly about: readonly string[];
  readonly options: readonly Option[];
  readonly exits: readonly (readonly [code: string, meaning: string])[];
  readonly examples: readonly (readonly [line: string, what: string])[];
}

export const formats = ["text", "json", "jsonl", "sarif", "clamscan"] as const;
export type Format = (typeof formats)[number];

export const shells = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof shells)[number];

const help: Option = { name: "help", short: "h", help: "Prints what this command does, and its options." };

const scan: Command = {
  name: "scan",
  summary: "scans files and directories for viruses",
  operands: "PATH…|-",
  completes: "files",
  about: [
    "Scans each PATH, directories with all that is in them, or standard input for `-`. Links are followed where they are named, not where they are found; devices, sockets and FIFOs are passed over.",
    "Files are scanned by the gateway or the clamd that --to or CLAMGATE_URL names, else by the gateway on this machine (http://localhost:9000), else, with --local, by a clamd that is started for this run. An API key comes from CLAMGATE_API_KEY or --api-key-file, never from the command line, where every user could read it.",
    "Results go to standard output; progress and everything else goes to standard error.",
  ],
  options: [
    {
      name: "to",
      value: { name: "URL", completes: ["http://", "https://", "tcp://", "tls://", "unix:///"], default: "CLAMGATE_URL" },
      help: "Who scans: a gateway (http, https) or a clamd (tcp, tls, unix), as http://localhost:9000 or unix:///run/clamav/clamd.ctl.",
    },
    { name: "api-key-file", value: { name: "FILE", completes: "files" }, help: "Reads the gateway's API key from this file." },
    {
      name: "local",
      help: "Where no gateway runs on this machine, starts a clamd for this run. It uses the signatures in DATABASE_DIRECTORY, or /var/lib/clamav, and fetches none.",
    },
    {
      name: "file-list",
      short: "f",
      value: { name: "FILE", completes: "files" },
      help: "Scans the paths in this file as well, one on a line; `-` is standard input.",
    },
    { name: "null", short: "0", help: "The paths in the file list end with a null byte each, as `find -print0` writes them." },
    {
      name: "exclude",
      value: { name: "GLOB", completes: null },
      isRepeatable: true,
      help: "Leaves out what fits, and all below it. Without a slash it fits a name at any depth (`.git`, `*.log`), with one the path below its argument (`build/**/tmp`), as in .gitignore.",
    },
    {
      name: "jobs",
      short: "j",
      value: { name: "N", completes: null, default: "8" },
      help: "Scans so many files at once, 1 to 256.",
    },
    {
      name: "wait",
      value: { name: "TIME", completes: null, default: "60s" },
      help: "Waits so long for a scanner that cannot be reached or is not ready, at the start and after it went away. Where none is named, and none answers on this machine, the default is not to wait.",
    },
    {
      name: "on-unscannable",
      value: {
        name: "POLICY",
        completes: ["block", "allow", ...unscannableReasons.map((reason) => `allow:${reason}`)],
        default: "as the gateway decides; a clamd blocks",
      },
      help: `Whether files pass that could not be looked into: block, allow, or allow: and reasons separated by commas (${unscannableReasons.join(", ")}).`,
    },
    {
      name: "format",
      value: { name: "FORMAT", completes: formats, default: "text" },
      help: "text for people; json, jsonl (a result a line, at once), sarif (2.1.0) for programs; clamscan for what reads the lines of clamscan.",
    },
    {
      name: "output",
      short: "o",
      value: { name: "FILE", completes: "files" },
      help: "Writes the results to this file, once all are there: whole, or not at all.",
    },
    { name: "infected", short: "i", help: "Leaves out files that are allowed." },
    {
      name: "quiet",
      short: "q",
      help: "Writes no results to standard output and no progress: the exit code tells. Errors still go to standard error.",
    },
    {
      name: "verbose",
      short: "v",
      help: "Lists clean files too (text), and tells on standard error who scans, and its warnings.",
    },
    help,
  ],
  exits: [
    ["0", "everything was scanned, and is allowed"],
    ["1", "something is blocked: infected, or unscannable"],
    ["2", "nothing is blocked, but something could not be scanned, or there was nothing to scan"],
    ["130", "interrupted (SIGINT); what was scanned until then is told"],
  ],
  examples: [
    ["clamgate scan --exclude .git --exclude node_modules .", "scans a checkout"],
    ["git diff --name-only -z main | clamgate scan -f - --null", "scans what has changed"],
    ["curl -s https://example.com/a.zip | clamgate scan -", "scans what comes through a pipe"],
    ["clamgate scan --format sarif -o clamgate.sarif dist", "writes a report for code scanning"],
    ["clamgate scan --local ~/Downloads", "scans without a gateway"],
  ],
};

export const commands: readonly Command[] = [
  {
    name: "serve",
    summary: "runs the gateway until SIGTERM or SIGINT",
    operands: "",
    completes: null,
    about: ["Runs the gateway. Environment variables configure it: `clamgate settings` prints them."],
    options: [
      {
        name: "allow-test-signatures",
        help: "Where no signatures can be had yet, goes on with the built-in test signatures (EICAR), marked in every answer; not for production.",
      },
      help,
    ],
    exits: [
      ["0", "ended by a signal"],
      ["1", "could not start, or go on"],
    ],
    examples: [["PORT=9000 STATE_DIRECTORY=/var/lib/clamgate clamgate serve", "as a service would start it"]],
  },
  scan,
  {
    name: "settings",
    summary: "prints the environment variables that configure the gateway",
    operands: "",
    completes: null,
    about: ["Prints each environment variable of `clamgate serve` with its default, its meaning and what it may be."],
    options: [{ name: "markdown", help: "Prints them as a table in Markdown." }, help],
    exits: [],
    examples: [],
  },
  {
    name: "keys",
    summary: "creates, lists and revokes the keys of clients",
    operands: "create|list|revoke ID…",
    completes: ["create", "list", "revoke"],
    about: [
      "Changes the file that API_KEYS_FILE or --file names; a running gateway takes the change up within 10 s. The options but --file are for create. A new key is printed once, and kept nowhere.",
    ],
    options: [
      { name: "file", value: { name: "FILE", completes: "files", default: "API_KEYS_FILE" }, help: "The file of keys." },
      { name: "name", value: { name: "NAME", completes: null }, help: "Who has the key, for people." },
      {
        name: "scopes",
        value: { name: "SCOPES", completes: [...scopes], default: "scan" },
        help: `What it opens, with commas between: ${scopes.join(", ")}.`,
      },
      { name: "from", value: { name: "NETWORKS", completes: null }, help: "Where it may come from, as 10.0.0.0/8,192.0.2.1." },
      { name: "not-after", value: { name: "TIME", completes: null }, help: "When it ends, as 2027-06-01T00:00:00Z." },
      { name: "requests", value: { name: "RATE", completes: null }, help: "Requests in a time, as 100/1s." },
      { name: "bytes", value: { name: "RATE", completes: null }, help: "Bytes in a time, as 500M/10s; M is 1,000,000." },
      { name: "concurrent", value: { name: "NUMBER", completes: null }, help: "Requests at once." },
      { name: "quota", value: { name: "RATE", completes: null }, help: "Bytes in a long time, as 5T/30d." },
      { name: "priority", value: { name: "WORD", completes: ["interactive", "batch"] }, help: "batch lets others go first." },
      {
        name: "san",
        value: { name: "NAME", completes: null },
        help: "For a client that comes with a certificate for this name, as spiffe://shop: it gets no key.",
      },
      help,
    ],
    exits: [
      ["0", "done"],
      ["1", "the file cannot be read or written, or an entry is wrong"],
      ["2", "the command line is wrong"],
    ],
    examples: [
      ["clamgate keys create --name shop --scopes scan --requests 100/1s", "prints the key of a new client"],
      ["clamgate keys list", "prints who has keys, with their ids"],
      ["clamgate keys revoke 7hq2m4xd", "ends one"],
    ],
  },
  {
    name: "healthcheck",
    summary: "asks the gateway on this machine whether it is ready; exit 0 when it is",
    operands: "",
    completes: null,
    about: ["Asks /readyz of the gateway that HOST and PORT name, for a container's HEALTHCHECK."],
    options: [help],
    exits: [
      ["0", "it is ready"],
      ["1", "it is not, or does not answer"],
    ],
    examples: [],
  },
  {
    name: "completion",
    summary: "prints what makes a shell complete commands and options",
    operands: "SHELL",
    completes: shells,
    about: [`Prints a script for SHELL: ${shells.join(", ")}.`],
    options: [help],
    exits: [],
    examples: [
      ["source <(clamgate completion bash)", "in ~/.bashrc"],
      ["source <(clamgate completion zsh)", "in ~/.zshrc, behind compinit"],
      ["clamgate completion fish > ~/.config/fish/completions/clamgate.fish", "once"],
    ],
  },
  {
    name: "version",
    summary: "prints the version",
    operands: "",
    completes: null,
    about: ["Prints the version."],
    options: [help],
    exits: [],
    examples: [],
  },
  {
    name: "help",
    summary: "prints this, or what one command does",
    operands: "[COMMAND]",
    completes: "commands",
    about: ["Prints the commands, or what one of them does, with its options."],
    options: [help],
    exits: [],
    examples: [],
  },
];

export function commandNamed(name: string | undefined): Command | null {
  return commands.find((command) => command.name === name) ?? null;
}

/** The command line is wrong: the user's to mend. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

export interface Arguments {
  isOn(name: string): boolean;
  /** Of an option that may be given once; null where it is not. */
  text(name: string): string | null;
  texts(name: string): readonly string[];
  readonly operands: readonly string[];
}

/** @throws UsageError where `args` are none that the command's entry knows. */
export function parseArguments(command: Command, args: readonly string[]): Arguments {
  const options = Object.fromEntries(
    command.options.map(({ name, short, value }) => {
      const type = value === undefined ? ("boolean" as const) : ("string" as const);
      return [name, { type, multiple: true, ...(short === undefined ? {} : { short }) }];
    }),
  );
  const { values, positionals } = parsed(command, args, options);
  if (positionals.length > 0 && command.operands === "")
    throw new UsageError(`${JSON.stringify(positionals[0])} is one argument too many`);
  for (const { name, isRepeatable, value } of command.options) {
    if (value !== undefined && isRepeatable !== true && (values[name]?.length ?? 0) > 1)
      throw new UsageError(`--${name} is given more than once`);
  }
  const texts = (name: string) => (values[name] ?? []).filter((each) => typeof each === "string");
  return {
    isOn: (name) => values[name]?.includes(true) ?? false,
    text: (name) => texts(name)[0] ?? null,
    texts,
    operands: positionals,
  };
}

function parsed(command: Command, args: readonly string[], options: ParseArgsOptionsConfig) {
  try {
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
    // Every option may come several times, so each value is a list.
    return { values: values as Readonly<Record<string, readonly (string | boolean)[] | undefined>>, positionals };
  } catch (error) {
    if (command.name === "scan" && args.some((arg) => /^--api-key(=|$)/.test(arg))) {
      throw new UsageError("a key on the command line can be read by every user: use --api-key-file or CLAMGATE_API_KEY");
    }
    throw new UsageError(messageOf(error));
  }
}
