/** The table of commands as text for a terminal, and as Markdown for docs/cli.md. */

import { type Command, commands, type Option } from "./commands.ts";

const width = 100;
const indent = 28;

export function helpOfAll(): string {
  const longest = Math.max(...commands.map(({ name }) => name.length));
  const lines = commands.map(({ name, summary }) => `  ${name.padEnd(longest + 2)}${summary}`);
  return `clamgate: an antivirus gateway powered by ClamAV

Usage: clamgate COMMAND [OPTION]…

${lines.join("\n")}

clamgate help COMMAND tells what a command does, and its options.
`;
}

export function helpOf(command: Command): string {
  const parts = [
    `clamgate ${command.name}: ${command.summary}\n\nUsage: ${usageOf(command)}`,
    command.about.map((paragraph) => wrapped(paragraph.replaceAll("`", ""), 0)).join("\n\n"),
    `Options\n${command.options.map(optionText).join("\n")}`,
  ];
  if (command.exits.length > 0) parts.push(`Exit code\n${command.exits.map(([code, what]) => row(code, what, 8)).join("\n")}`);
  if (command.examples.length > 0)
    parts.push(`Examples\n${command.examples.map(([line, what]) => `  ${line}\n      ${what}`).join("\n")}`);
  return `${parts.join("\n\n")}\n`;
}

export function usageOf({ name, operands, options }: Command): string {
  return ["clamgate", name, ...(options.length > 1 ? ["[OPTION]…"] : []), ...(operands === "" ? [] : [operands])].join(" ");
}

/** Rows of a table: option, default, meaning. */
export function optionsAsMarkdown({ options }: Command): string {
  const rows = options.map((option) => {
    const names = `\`${option.short === undefined ? "" : `-${option.short}, `}--${option.name}${operandOf(option)}\``;
    return `| ${names} | ${option.value?.default ?? ""} | ${option.help.replaceAll("|", "\\|")} |`;
  });
  return ["| Option | Default | |", "| --- | --- | --- |", ...rows].join("\n");
}

function optionText(option: Option): string {
  const short = option.short === undefined ? "    " : `-${option.short}, `;
  const standard = option.value?.default;
  const help = `${option.help.replaceAll("`", "")}${standard === undefined ? "" : ` Default: ${standard}.`}`;
  return row(`${short}--${option.name}${operandOf(option)}`, help, indent);
}

function operandOf({ value }: Option): string {
  return value === undefined ? "" : ` ${value.name}`;
}

function row(left: string, right: string, column: number): string {
  const text = wrapped(right, column);
  return left.length + 3 > column ? `  ${left}\n${" ".repeat(column)}${text}` : `${`  ${left}`.padEnd(column)}${text}`;
}

/** The first line is left to stand behind something. */
function wrapped(text: string, column: number): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width - column) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line].join(`\n${" ".repeat(column)}`);
}
