/** Reads the environment into a Config, or finds every fault in it. */

import { adjustmentsOf } from "./adjustments.ts";
import { crossCheck } from "./cross-checks.ts";
import { type Base, type Parsed, value, type Wrong } from "./parser.ts";
import { resemblingWarnings } from "./resembling.ts";
import type { Setting } from "./setting.ts";
import { type Config, settings } from "./settings.ts";

/** As process.env. */
export type Environment = Readonly<Record<string, string | undefined>>;

export interface Surroundings {
  /** Absolute; relative paths are resolved against it. */
  readonly cwd: string;
  /** Processor cores this process may use, as os.availableParallelism() counts them. */
  readonly cores: number;
}

export type Reading =
  | {
      readonly kind: "config";
      readonly config: Config;
      /** One line each, for the log: what is not run as it was set, and why. */
      readonly warnings: readonly string[];
    }
  /** One line each, ready to print: the variable, what it was (secrets masked), what is allowed. Never empty. */
  | { readonly kind: "faults"; readonly faults: readonly string[] };

const longestShownCharacters = 100;

/**
 * Never throws. Variables that are no settings are ignored, with a warning where one looks like a setting; an empty one counts as unset. What clamav-rest starts with and is not
 * right here is adjusted.
 */
export function readConfig(environment: Environment, surroundings: Surroundings): Reading {
  const base = readBase(environment, surroundings);
  const given = new Set(settings.filter((setting) => textOf(setting, environment) !== "").map(({ name }) => name));
  const values: Record<string, unknown> = {};
  const faults: string[] = [];
  for (const setting of settings) {
    const parsed: Parsed<unknown> = isIdle(setting, given) ? value(null) : read<unknown>(setting, environment, base);
    if (parsed.kind === "value") values[setting.name] = parsed.value;
    else faults.push(...parsed.wrongs.map((wrong) => describe(setting, wrong)));
  }
  // The loop has put each setting's own parser's value under its name, which is what Config says; the compiler cannot follow.
  const config = values as Partial<Config>;
  const adjustments = adjustmentsOf(config, given);
  const adjusted: Partial<Config> = Object.assign(config, ...adjustments.map(({ change }) => change));
  faults.push(...crossCheck(adjusted));
  if (faults.length > 0) return { kind: "faults", faults };
  return {
    kind: "config",
    config: adjusted as Config,
    warnings: [
      ...resemblingWarnings(Object.keys(environment), settings),
      ...idleWarnings(given),
      ...adjustments.map(({ warning }) => warning),
    ],
  };
}

/** Settings that have no effect, by the one that they lack. */
function idleWarnings(given: ReadonlySet<string>): readonly string[] {
  const idle = settings.filter((setting) => given.has(setting.name) && isIdle(setting, given));
  return [...Map.groupBy(idle, ({ onlyWith }: Setting) => onlyWith)].map(([lacking, members]) => {
    const names = members.map(({ name }) => name).join(", ");
    return `${names} ${members.length === 1 ? "is" : "are"} ignored without ${lacking}.`;
  });
}

function isIdle({ onlyWith }: Setting, given: ReadonlySet<string>): boolean {
  return onlyWith !== undefined && !given.has(onlyWith);
}

/** The settings that others derive from, read ahead of all; a wrong one is told by the loop over all. */
function readBase(environment: Environment, { cwd, cores }: Surroundings): Base {
  const start: Base = { cwd, cores, stateDirectory: cwd, maxScanTimeMs: 0 };
  const known: Record<string, unknown> = {};
  for (const setting of settings) {
    if (setting.name !== "STATE_DIRECTORY" && setting.name !== "MAX_SCAN_TIME") continue;
    const parsed = read<unknown>(setting, environment, start);
    if (parsed.kind === "value") known[setting.name] = parsed.value;
  }
  const { STATE_DIRECTORY: stateDirectory, MAX_SCAN_TIME: maxScanTimeMs } = known as Partial<Config>;
  return { cwd, cores, stateDirectory: stateDirectory ?? cwd, maxScanTimeMs: maxScanTimeMs ?? 0 };
}

function read<Value>(setting: Setting<string, Value>, environment: Environment, base: Base): Parsed<Value | null> {
  const text = textOf(setting, environment);
  if (text !== "") return setting.parser.parse(text, base);
  switch (setting.default.kind) {
    case "unset":
      return { kind: "value", value: null };
    case "written":
      return setting.parser.parse(setting.default.text, base);
    case "derived":
      return { kind: "value", value: setting.default.from(base) };
  }
}

/** Empty when unset. Compose and env files leave spaces, carriage returns and quotes around values; clamd takes quotes too. */
function textOf(setting: Setting, environment: Environment): string {
  const text = environment[variableOf(setting, environment)] ?? "";
  if (setting.parser.isVerbatim) return text;
  const trimmed = text.trim();
  return /^"[^"]*"$/.test(trimmed) ? trimmed.slice(1, -1).trim() : trimmed;
}

/** The exact name wins where several spellings are set. */
function variableOf({ name, isAnyCase }: Setting, environment: Environment): string {
  if (!isAnyCase || environment[name] !== undefined) return name;
  const spellings = Object.keys(environment).filter((variable) => variable.toUpperCase() === name);
  return spellings.sort()[0] ?? name;
}

function describe({ name, parser }: Setting, { text, why }: Wrong): string {
  const characters = [...text];
  const shown = characters.length > longestShownCharacters ? `${characters.slice(0, longestShownCharacters).join("")}…` : text;
  return `${name}: ${JSON.stringify(shown)} ${why}: allowed are ${parser.allowed.replaceAll("`", "")}`;
}
