/** Reads deploy/Dockerfile into stages and instructions; anything it cannot read is an error. */

import { readFileSync } from "node:fs";

export interface Instruction {
  readonly keyword: string;
  /** Continued lines joined by one space, comments left out. */
  readonly text: string;
}

export interface Stage {
  readonly name: string | null;
  readonly from: string;
  readonly instructions: readonly Instruction[];
}

export interface Dockerfile {
  /** Before the first FROM. */
  readonly defaults: Readonly<Record<string, string>>;
  readonly stages: readonly Stage[];
}

const keywords = new Set(
  "ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL RUN STOPSIGNAL USER VOLUME WORKDIR".split(" "),
);

export function readDockerfile(url: URL): Dockerfile {
  const defaults: Record<string, string> = {};
  const stages: { name: string | null; from: string; instructions: Instruction[] }[] = [];
  for (const instruction of readInstructions(readFileSync(url, "utf8"))) {
    const stage = stages.at(-1);
    if (instruction.keyword === "FROM") {
      const [image = "", as, name] = words(instruction.text);
      if (image === "" || (as !== undefined && (as !== "AS" || name === undefined))) throw new Error(`FROM ${instruction.text}`);
      stages.push({ name: name ?? null, from: withDefaults(image, defaults), instructions: [] });
    } else if (stage !== undefined) stage.instructions.push(instruction);
    else if (instruction.keyword === "ARG") Object.assign(defaults, assignments(instruction.text));
    else throw new Error(`${instruction.keyword} before FROM`);
  }
  return { defaults, stages };
}

/** The texts of all instructions of that keyword, in order. */
export function textsOf(stage: Stage, keyword: string): readonly string[] {
  return stage.instructions.filter((instruction) => instruction.keyword === keyword).map(({ text }) => text);
}

/** The only instruction of that keyword. */
export function textOf(stage: Stage, keyword: string): string {
  const [text, ...more] = textsOf(stage, keyword);
  if (text === undefined || more.length > 0) throw new Error(`${more.length + 1} ${keyword} instructions`);
  return text;
}

/** The exec form: a JSON array of words. */
export function execForm(text: string): readonly string[] {
  const parsed: unknown = JSON.parse(text);
  if (!Array.isArray(parsed)) throw new Error(`${text} is not in exec form`);
  return parsed.map(String);
}

/** `NAME=value NAME="value with blanks"`, as ARG, ENV and LABEL have them. */
export function assignments(text: string): Readonly<Record<string, string>> {
  const found = [...text.matchAll(/([\w.-]+)=("[^"]*"|\S*)/g)];
  return Object.fromEntries(found.map(([, name = "", value = ""]) => [name, value.replaceAll('"', "")]));
}

export function words(text: string): readonly string[] {
  return text.split(/\s+/).filter((word) => word !== "");
}

function readInstructions(source: string): readonly Instruction[] {
  const lines = source.split("\n").filter((line) => !line.trimStart().startsWith("#"));
  const joined = lines.join("\n").replaceAll(/\\\n\s*/g, " ");
  return joined
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => {
      const [, keyword = "", text = ""] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
      if (!keywords.has(keyword) || text === "") throw new Error(`cannot be read: ${line}`);
      return { keyword, text };
    });
}

function withDefaults(image: string, defaults: Readonly<Record<string, string>>): string {
  return image.replaceAll(/\$\{(\w+)\}/g, (_, name: string) => defaults[name] ?? "");
}
