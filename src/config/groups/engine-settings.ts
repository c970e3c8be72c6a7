/** Which clamd scans: our own, or the ones given. */

import { absolutePath, clamdAddresses } from "../addresses.ts";
import { dayMs, duration, secondMs, wholeNumber } from "../numbers.ts";
import { choice, type Parser, value, yesOrNo } from "../parser.ts";
import { derived, setting, unset, written } from "../setting.ts";

/** clamd asks for MAX_RECURSION open files for each. */
const mostThreads = 256;

export const engineSettings = [
  setting({
    name: "CLAMD_PORT",
    group: "Engine",
    parser: clamdAddresses(),
    default: unset,
    help: "Addresses of the clamd servers to use. Without it the gateway runs a clamd and a freshclam of its own.",
  }),
  setting({
    name: "CLAMD_SLOTS",
    group: "Engine",
    parser: clamdSlots(),
    default: written("auto"),
    help: "Scans at once on each given clamd. All gateways of a clamd together should send no more than its MaxThreads. `auto`: where VERDICT_CACHE is a Redis, the gateways that use it divide CLAMD_THREADS among themselves, anew every second; else, and until Redis answers, it is CLAMD_THREADS divided by CLAMD_SHARERS, 1 at least.",
  }),
  setting({
    name: "CLAMD_THREADS",
    group: "Engine",
    parser: wholeNumber({ from: 1, to: 1000 }),
    default: written("10"),
    help: "MaxThreads of each given clamd, as its clamd.conf has it.",
  }),
  setting({
    name: "CLAMD_SHARERS",
    group: "Engine",
    parser: wholeNumber({ from: 1, to: 1000 }),
    default: written("1"),
    help: "Gateways that use the same clamd servers, this one included. Without effect where they divide the threads through Redis.",
  }),
  setting({
    name: "CLAMD_SHARES_SPOOL",
    group: "Engine",
    parser: yesOrNo(),
    default: written("no"),
    help: "Whether the given clamd servers can read SPOOL_DIRECTORY under the same path: large bodies are then scanned in place instead of sent.",
  }),
  setting({
    name: "GIVEN_CLAMD",
    group: "Engine",
    parser: choice("warn or strict", ["warn", "strict"]),
    default: written("warn"),
    help: "What becomes of a given clamd that does not report what it skips. `warn`: it is used, `/readyz` is degraded, and the log names the lines that its clamd.conf lacks. `strict`: it is not used.",
  }),
  setting({
    name: "GIVEN_VERDICT_TTL",
    group: "Engine",
    parser: duration({ fromMs: secondMs, toMs: 3650 * dayMs }),
    default: written("5m"),
    help: "How long a verdict of given clamd servers is remembered at most, by content and by address: their signatures can change where nothing shows it. Without effect where GIVEN_EPOCH_FILE shows them.",
  }),
  setting({
    name: "GIVEN_EPOCH_FILE",
    group: "Engine",
    parser: absolutePath("clamgate_epoch.ndb"),
    default: unset,
    onlyWith: "CLAMD_PORT",
    help: "`clamgate_epoch.ndb` in the database directory that all given clamd servers load, as the gateway sees it. The gateway writes this signature file whenever the directory has changed, and asks the servers to reload it: what it is found by tells which signatures they have, and their verdicts are remembered for VERDICT_TTL.",
  }),
  setting({
    name: "MAX_RECONNECT_TIME",
    group: "Engine",
    parser: wholeNumber({ from: 0, to: 100_000 }),
    default: written("30"),
    help: "How often a given clamd is tried at the start, 4 seconds apart, before the gateway gives up and exits.",
  }),
  setting({
    name: "MAX_THREADS",
    group: "Engine",
    parser: wholeNumber({ from: 1, to: mostThreads }),
    // One would let a single slow scan hold up all others.
    default: derived("available cores, at least 2", ({ cores }) => Math.min(Math.max(2, Math.floor(cores)), mostThreads)),
    help: "Scans at once of the gateway's own clamd. Scanning is bound by the processor, so more than the cores only adds waiting; one small body (at most 64 KiB) more is sent ahead, so that clamd does not wait for it.",
  }),
] as const;

export function clamdSlots(): Parser<number | "auto"> {
  const number = wholeNumber({ from: 1, to: 1000 });
  return {
    allowed: `\`auto\`, or ${number.allowed}`,
    parse: (text, base) => (text.toLowerCase() === "auto" ? value("auto") : number.parse(text, base)),
  };
}

/** One at least: more gateways than threads share them with clamd's own queue in between. */
export function slotsOf(slots: number | "auto", { threads, sharers }: { threads: number; sharers: number }): number {
  return slots === "auto" ? Math.max(1, Math.floor(threads / sharers)) : slots;
}
