/** For code scanning: SARIF 2.1.0, a rule for each signature and a result for each finding. */

import { namesOf } from "../../core/verdict.ts";
import { escapeControls, escapeControlsInJson } from "../../log/escape-controls.ts";
import type { FilePath, Report } from "../library.ts";
import { shownPath, uriOf } from "../path-text.ts";
import type { Summary } from "../summary.ts";
import type { ResultWriter, WriterOptions } from "./result-writer.ts";

/** Errors beyond these are counted: the rest of the document stands behind them, and they would have to be kept. */
const maxNotifications = 1_000;

interface Rule {
  readonly id: string;
  readonly level: "error" | "warning";
}

/** Clean files have no result. */
export function sarifWriter({ version, directory, now }: WriterOptions): ResultWriter {
  const startedAt = now();
  const rules = new Map<string, Rule & { readonly index: number }>();
  const notifications: unknown[] = [];
  let errors = 0;
  let separator = "\n";

  function ruleOf(rule: Rule): number {
    const known = rules.get(rule.id);
    if (known !== undefined) return known.index;
    rules.set(rule.id, { ...rule, index: rules.size });
    return rules.size - 1;
  }

  function findings(path: FilePath, report: Report): string {
    const { verdict } = report;
    if (verdict.kind === "clean") return "";
    const level = verdict.kind === "infected" ? "error" : "warning";
    return namesOf(verdict)
      .map((id) => {
        const what = verdict.kind === "infected" ? `is infected: ${id}` : `could not be looked into (${verdict.reason}): ${id}`;
        const passes = report.allowed ? ", and was let pass" : "";
        const result = {
          ruleId: id,
          ruleIndex: ruleOf({ id, level }),
          level: report.allowed ? "note" : level,
          message: { text: escapeControls(`${shownPath(path)} ${what}${passes}`) },
          locations: [locationOf(path, directory)],
          partialFingerprints: { "sha256/v1": report.sha256 },
        };
        const text = separator + asJson(result);
        separator = ",\n";
        return text;
      })
      .join("");
  }

  return {
    begin: () => `{"$schema":"https://json.schemastore.org/sarif-2.1.0.json","version":"2.1.0","runs":[{"results":[`,
    result({ path, report, error }) {
      if (report !== undefined) return findings(path, report);
      errors += 1;
      if (notifications.length < maxNotifications) {
        notifications.push({
          level: "error",
          message: { text: escapeControls(`${shownPath(path)}: ${error.message}`) },
          descriptor: { id: error.code },
          locations: [locationOf(path, directory)],
        });
      }
      return "";
    },
    end(summary, exitCode) {
      const more = errors - notifications.length;
      if (more > 0) notifications.push({ level: "error", message: { text: `${more} more files could not be scanned` } });
      if (!summary.isComplete) notifications.push({ level: "error", message: { text: "not all was scanned" } });
      const invocation = {
        executionSuccessful: errors === 0 && summary.isComplete,
        exitCode,
        startTimeUtc: new Date(startedAt).toISOString(),
        endTimeUtc: new Date(now()).toISOString(),
        toolExecutionNotifications: notifications,
      };
      return `\n],"tool":${asJson({ driver: driverOf(summary) })},"invocations":[${asJson(invocation)}]}]}\n`;
    },
  };

  function driverOf({ engine }: Summary) {
    const signatures = engine === null ? {} : { properties: { engine } };
    return {
      name: "clamgate",
      version,
      rules: [...rules.values()].map(({ id, level }) => ({
        id,
        shortDescription: { text: level === "error" ? `Infected: ${id}` : `Could not be looked into: ${id}` },
        defaultConfiguration: { level },
      })),
      ...signatures,
    };
  }
}

/** Code scanning wants a line. */
function locationOf(path: FilePath, directory: string) {
  const { uri, isRelative } = uriOf(path, directory);
  const artifactLocation = isRelative ? { uri, uriBaseId: "%SRCROOT%" } : { uri };
  return { physicalLocation: { artifactLocation, region: { startLine: 1 } } };
}

function asJson(value: unknown): string {
  return escapeControlsInJson(JSON.stringify(value));
}
