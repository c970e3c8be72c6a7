/** How many scans at once a given clamd is sent: a number, or this gateway's share of its threads. */

import { wholeNumber } from "./numbers.ts";
import { type Parser, value } from "./parser.ts";

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
