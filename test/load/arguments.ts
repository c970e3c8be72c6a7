/** The numbers a script is given on its command line, as `--minutes 60`. */

import { parseArgs } from "node:util";

/** Every name takes a number; what is not given is its default. Ends the process with a line for people where it is none. */
export function numbersFrom<N extends string>(
  defaults: Readonly<Record<N, number>>,
  argv = process.argv.slice(2),
): Record<N, number> {
  const names = Object.keys(defaults) as N[]; // the keys of a Record<N, …>
  const options = Object.fromEntries(names.map((name) => [name, { type: "string" as const }]));
  const { values } = parseArgs({ args: argv, options });
  const numbers = names.map((name): [N, number] => {
    const given = values[name];
    const number = typeof given === "string" ? Number(given) : defaults[name];
    if (!Number.isFinite(number) || number < 0) throw new RangeError(`--${name} needs a number, not ${given}`);
    return [name, number];
  });
  return Object.fromEntries(numbers) as Record<N, number>;
}
