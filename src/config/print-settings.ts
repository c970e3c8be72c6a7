/** The settings table for eyes: aligned text for a terminal, Markdown for docs/settings.md. */

import { groups, type Setting } from "./setting.ts";

/** Ends with a line feed. */
export function settingsAsText(settings: readonly Setting[]): string {
  const nameWidth = widest(settings.map(({ name }) => name));
  const defaultWidth = widest(settings.map(defaultOf));
  const indent = " ".repeat(2 + nameWidth + 2 + defaultWidth + 2);
  const entry = (setting: Setting): string =>
    [
      `  ${setting.name.padEnd(nameWidth)}  ${defaultOf(setting).padEnd(defaultWidth)}  ${plain(setting.help)}`,
      `${indent}Allowed: ${plain(setting.parser.allowed)}`,
    ].join("\n");
  return byGroup(settings)
    .map(([group, members]) => `${group}\n${members.map(entry).join("\n")}\n`)
    .join("\n");
}

/**
 * One table for each group. Ends with a line feed.
 * @param headingLevel how many `#` the groups' headings have.
 */
export function settingsAsMarkdown(settings: readonly Setting[], { headingLevel = 3 } = {}): string {
  const row = (setting: Setting): string =>
    `| ${[`\`${setting.name}\``, markdownDefault(setting), setting.help, setting.parser.allowed].map(cell).join(" | ")} |`;
  return byGroup(settings)
    .map(([group, members]) => {
      const head = ["| Setting | Default | What it does | Allowed |", "| --- | --- | --- | --- |"];
      return `${"#".repeat(headingLevel)} ${group}\n\n${[...head, ...members.map(row)].join("\n")}\n`;
    })
    .join("\n");
}

function byGroup(settings: readonly Setting[]): readonly (readonly [group: string, members: readonly Setting[]])[] {
  return groups
    .map((group) => [group, settings.filter((setting) => setting.group === group)] as const)
    .filter(([, members]) => members.length > 0);
}

function defaultOf({ default: from }: Setting): string {
  switch (from.kind) {
    case "unset":
      return "unset";
    case "written":
      return from.text === "" ? "none" : from.text;
    case "derived":
      return from.text;
  }
}

/** Code where it is what one would write. */
function markdownDefault(setting: Setting): string {
  const text = defaultOf(setting);
  return setting.default.kind === "written" && setting.default.text !== "" ? `\`${text}\`` : text;
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}

function plain(markdown: string): string {
  return markdown.replaceAll("`", "");
}

function widest(texts: readonly string[]): number {
  return Math.max(0, ...texts.map((text) => text.length));
}
