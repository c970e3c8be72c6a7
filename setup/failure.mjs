/** Why the set-up stopped, told so that a person knows the step, the tool's own words and what to do. */

/** @typedef {import("./command.mjs").Outcome} Outcome */

/** The cause as far as a tool's words give it away. @typedef {"network" | "locked" | "disk" | "no-package" | "unknown"} Cause */

/**
 * Package managers end with one exit code for every fault (apt-get: 100), so their words are all there is.
 * They are asked to speak English (LC_ALL=C).
 * @type {ReadonlyArray<readonly [Cause, RegExp]>}
 */
const tellTales = [
  ["disk", /no space left|ENOSPC|enough free space|disk quota|EDQUOT/i],
  ["locked", /could not get lock|unable to (acquire|lock)|database is locked|has already locked|is another process using/i],
  [
    "no-package",
    /unable to locate package|no installation candidate|unable to select packages|no match for argument|no available formula/i,
  ],
  [
    "network",
    /resolv|failed to (fetch|download)|connect|ENOTFOUND|EAI_AGAIN|ECONNRE|ETIMEDOUT|unreachable|timed? ?out|temporary error|network/i,
  ],
];

/** @type {Readonly<Record<Cause, string>>} */
const adviceFor = {
  network: "Check this machine's network, DNS and proxy settings (http_proxy, https_proxy).",
  locked: "Another package manager is at work. Wait until it is done, or end it.",
  disk: "Make room on the disk (df -h shows which one is full).",
  "no-package":
    "This system's package sources do not have it. Enable the source that does (Ubuntu: universe; RHEL, Rocky, Alma: EPEL; Alpine: community).",
  unknown: "The lines above are the tool's own. --verbose shows all of them.",
};

export class SetupFailure extends Error {
  /**
   * @param {string} step what was being done
   * @param {readonly string[]} lines what happened and what to do, one sentence or command each
   */
  constructor(step, lines) {
    super(`${step}: ${lines.join(" ")}`);
    this.name = "SetupFailure";
    this.step = step;
    this.lines = lines;
  }
}

/**
 * @param {string} step
 * @param {Outcome} outcome of the command that failed
 * @returns {SetupFailure}
 */
export function commandFailure(step, outcome) {
  const lines = outcome.output.trimEnd().split("\n");
  const tail = lines.filter((line, index) => line !== lines[index - 1]).slice(-12); // apt-get waits in one line a second
  const how = outcome.isTimedOut ? "did not end in time and was stopped" : `ended with exit code ${outcome.code}`;
  return new SetupFailure(step, [
    `\`${outcome.commandLine}\` ${how}. Its last lines:`,
    ...tail.map((line) => `  | ${line}`),
    adviceFor[causeOf(outcome)],
    "Then run the same command again: what is done stays done, and it goes on from here.",
  ]);
}

/**
 * @param {Outcome} outcome
 * @returns {Cause}
 */
export function causeOf(outcome) {
  for (const [cause, words] of tellTales) if (words.test(outcome.output)) return cause;
  return outcome.isTimedOut ? "network" : "unknown";
}

/**
 * Throws a {@link SetupFailure} unless the command ended with 0.
 * @param {string} step
 * @param {Outcome} outcome
 */
export function expectSuccess(step, outcome) {
  if (outcome.code !== 0) throw commandFailure(step, outcome);
}
