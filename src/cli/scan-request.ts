/** The arguments of `clamgate scan` as what is to be done. */

import { readFile } from "node:fs/promises";
import { duration, longestTimerMs, wholeNumber } from "../config/numbers.ts";
import type { Base, Parser } from "../config/parser.ts";
import { unscannablePolicy } from "../config/unscannable-policy.ts";
import { messageOf } from "../core/errors.ts";
import { type Arguments, type Format, formats, UsageError } from "./commands.ts";
import { asBytes } from "./inputs.ts";
import type { FilePath, ScannerOptions } from "./library.ts";

export interface ScanRequest {
  readonly paths: readonly FilePath[];
  readonly fileList: string | null;
  readonly isNullSeparated: boolean;
  readonly exclude: readonly string[];
  readonly url: string | null;
  readonly apiKey: string | null;
  readonly isLocal: boolean;
  readonly jobs: number;
  /** Milliseconds; null where nobody has said. */
  readonly waitMs: number | null;
  readonly onUnscannable: ScannerOptions["onUnscannable"];
  readonly format: Format;
  readonly outputPath: string | null;
  readonly listsBlockedOnly: boolean;
  readonly isQuiet: boolean;
  readonly isVerbose: boolean;
}

const defaultJobs = 8;

/** @throws UsageError */
export async function readScanRequest(given: Arguments, environment: NodeJS.ProcessEnv): Promise<ScanRequest> {
  const format = formats.find((known) => known === (given.text("format") ?? "text"));
  if (format === undefined) throw new UsageError(`--format is one of ${formats.join(", ")}`);
  const fileList = given.text("file-list");
  const { operands } = given;
  if (operands.length === 0 && fileList === null) throw new UsageError("nothing to scan is named: a PATH, - or --file-list");
  const readers = operands.filter((path) => path === "-").length + (fileList === "-" ? 1 : 0);
  if (readers > 1) throw new UsageError("standard input can be read once");
  if (given.isOn("null") && fileList === null) throw new UsageError("--null is about the paths of --file-list");
  const to = given.text("to");
  const isLocal = given.isOn("local");
  if (isLocal && to !== null) throw new UsageError("--local and --to exclude each other");
  const jobs = given.text("jobs");
  const wait = given.text("wait");
  const policy = given.text("on-unscannable");
  return {
    paths: await asBytes(operands),
    fileList,
    isNullSeparated: given.isOn("null"),
    exclude: given.texts("exclude"),
    url: to ?? (environment.CLAMGATE_URL || null),
    apiKey: await apiKeyOf(given.text("api-key-file"), environment),
    isLocal,
    jobs: jobs === null ? defaultJobs : parsed("jobs", jobs, wholeNumber({ from: 1, to: 256 })),
    waitMs: wait === null ? null : parsed("wait", wait, duration({ fromMs: 0, toMs: longestTimerMs })),
    onUnscannable: policy === null ? undefined : [...parsed("on-unscannable", policy, unscannablePolicy())],
    format,
    outputPath: given.text("output"),
    listsBlockedOnly: given.isOn("infected"),
    isQuiet: given.isOn("quiet"),
    isVerbose: given.isOn("verbose"),
  };
}

/** These parsers depend on nothing around them. */
const anywhere: Base = { cwd: "/", cores: 1, stateDirectory: "/", maxScanTimeMs: 0 };

function parsed<Value>(option: string, text: string, parser: Parser<Value>): Value {
  const read = parser.parse(text, anywhere);
  if (read.kind === "value") return read.value;
  const whys = read.wrongs.map(({ text, why }) => `${JSON.stringify(text)} ${why}`);
  throw new UsageError(`--${option}: ${whys.join(", ")}; allowed: ${parser.allowed.replaceAll("`", "")}`);
}

/** Its text is in no message. */
async function apiKeyOf(path: string | null, environment: NodeJS.ProcessEnv): Promise<string | null> {
  const key = path === null ? (environment.CLAMGATE_API_KEY ?? "") : (await readKeyFile(path)).trim();
  if (key === "" && path === null) return null;
  if (!/^[\x21-\x7e]+$/.test(key)) {
    throw new UsageError(
      `${path === null ? "CLAMGATE_API_KEY" : `--api-key-file ${path}`} holds no key: one word of printable letters`,
    );
  }
  return key;
}

async function readKeyFile(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new UsageError(`--api-key-file cannot be read: ${messageOf(error)}`);
  }
}
