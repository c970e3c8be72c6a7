/** The table, for a terminal and as Markdown. */

import type { Machine } from "./machine.ts";
import { type Figure, outcomeOf, type Row } from "./row.ts";

export interface Report {
  /** ISO 8601, of the run's begin. */
  readonly date: string;
  readonly machine: Machine;
  readonly rounds: number;
  readonly seconds: number;
  readonly isQuick: boolean;
  readonly minutes: number;
  readonly rows: readonly Row[];
  /** Scenarios that did not run or did not get to their end, and why. */
  readonly left: readonly { readonly scenario: string; readonly reason: string }[];
}

export function asText({ rows, left }: Report): string {
  const table = rows.map((row) => [row.what, targetOf(row), measuredOf(row), outcomeOf(row) ?? ""]);
  const header = ["what", "target", "measured: median (min-max)", ""];
  return [...aligned([header, ...table]), ...left.map(({ scenario, reason }) => `not measured: ${scenario}: ${reason}`), ""].join(
    "\n",
  );
}

export function asMarkdown(report: Report): string {
  const { date, machine, rows, left, rounds, seconds, minutes, isQuick } = report;
  const lines = [
    `# Benchmark of ${date.slice(0, 10)}`,
    "",
    `${machine.processor}, ${machine.cores} cores, ${machine.memoryGb} GB, ${machine.system}; Node ${machine.node}; ${machine.clamd}; clamgate ${machine.clamgate}.`,
    `The load average was ${machine.loadBefore.toFixed(1)} before the run. ${rounds} rounds of ${seconds} s for each subject, in turn; ${minutes.toFixed(0)} minutes in all${isQuick ? "; a quick run, too short to decide anything" : ""}.`,
    "S-real is a synthetic database (seeded, as heavy as a full one); tiny has one signature. Figures are medians over the rounds with their extremes; a ratio is made of two figures of the same round.",
    "",
    "| what | target | measured: median (min-max) | |",
    "|---|---|---|---|",
    ...rows.map((row) => `| ${row.what} | ${targetOf(row)} | ${measuredOf(row)} | ${outcomeOf(row) ?? ""} |`),
    "",
    ...left.map(({ scenario, reason }) => `Not measured: ${scenario}: ${reason}.  `),
    "",
    "## What the figures are made of",
    "",
    "Cores in use meanwhile, by process, and milliseconds of processor for each request; `load` is the benchmark's own client.",
    "",
    ...rows.flatMap((row, index) => (sameFigures(row, rows[index - 1]) ? [] : figureTable(row))),
  ];
  return `${lines.join("\n")}\n`;
}

function sameFigures(row: Row, before: Row | undefined): boolean {
  return before !== undefined && JSON.stringify(row.figures) === JSON.stringify(before.figures);
}

function figureTable({ what, figures }: Row): readonly string[] {
  return [
    `**${what}**`,
    "",
    "| | median (min-max) | cores (ms a request) |",
    "|---|---|---|",
    ...figures.map((figure) => `| ${figure.name} | ${spreadText(figure.spread)} ${figure.unit} | ${usedBy(figure)} |`),
    "",
  ];
}

function usedBy({ processes = {} }: Figure): string {
  return Object.entries(processes)
    .map(([name, { cores, perRequest }]) => `${name} ${cores.toFixed(2)} (${perRequest.toPrecision(2)})`)
    .join(", ");
}

function targetOf({ target, unit }: Row): string {
  if (target === null) return "";
  return "atLeast" in target ? `≥ ${target.atLeast} ${unit}` : `≤ ${target.atMost} ${unit}`;
}

function measuredOf({ measured, unit }: Row): string {
  return `${spreadText(measured)} ${unit}`;
}

function spreadText({ min, median, max }: Figure["spread"]): string {
  return min === max ? short(median) : `${short(median)} (${short(min)}-${short(max)})`;
}

/** Three digits that count. */
function short(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toFixed(digits);
}

function aligned(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}
