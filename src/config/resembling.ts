/** Variables that are no settings and look like one: somebody has set it, and it has no effect. */

import type { Setting } from "./setting.ts";

/** A shorter name has too many others around it. */
const shortestName = 5;
/** A name of so many characters may have two faults. */
const longName = 9;

/** One line for each, for the log. Which of them is meant is for a person to say. */
export function resemblingWarnings(variables: readonly string[], settings: readonly Setting[]): readonly string[] {
  const names = settings.map(({ name }) => name);
  const known = new Set(names);
  const unknown = variables.filter((variable) => !known.has(variable) && variable.length >= shortestName);
  return unknown.flatMap((variable) => {
    const upper = variable.toUpperCase();
    if (settings.some(({ name, isAnyCase }) => isAnyCase && name === upper)) return [];
    const near = names.find((name) => isNear(upper, name));
    return near === undefined ? [] : [`${variable} is no setting and has no effect: did you mean ${near}?`];
  });
}

function isNear(variable: string, name: string): boolean {
  if (name.length < shortestName) return false;
  const allowed = name.length >= longName ? 2 : 1;
  return Math.abs(variable.length - name.length) <= allowed && distance(variable, name) <= allowed;
}

/** Characters that are to be added, left out, replaced, or swapped with the next one, to make the one text of the other. */
function distance(one: string, other: string): number {
  let before: readonly number[] = [];
  let row: readonly number[] = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let at = 1; at <= one.length; at += 1) {
    const next = [at];
    for (let to = 1; to <= other.length; to += 1) {
      const isSame = one[at - 1] === other[to - 1];
      const isSwapped = at > 1 && to > 1 && one[at - 1] === other[to - 2] && one[at - 2] === other[to - 1];
      const least = Math.min((next[to - 1] ?? 0) + 1, (row[to] ?? 0) + 1, (row[to - 1] ?? 0) + (isSame ? 0 : 1));
      next.push(isSwapped ? Math.min(least, (before[to - 2] ?? 0) + 1) : least);
    }
    before = row;
    row = next;
  }
  return row.at(-1) ?? 0;
}
