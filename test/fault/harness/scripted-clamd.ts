/** A clamd that knows the truth of plain subjects and tells it as a script has it: whole, late, in pieces, twice, cut, or not at all. */

import { setTimeout as delay } from "node:timers/promises";
import { type Act, answer, clean, type FakeClamd, found, reset, stall, startFakeClamd } from "../../fake/clamd.ts";
import { eicar, marker } from "../../live/clamd.ts";

export const manners = [
  "honest",
  "late",
  "byte by byte",
  "doubled",
  "another's answer",
  "half an answer",
  "end without a word",
  "reset without a word",
  "reset after the answer",
  "reset within the answer",
  "an error",
  "nonsense",
  "never",
] as const;

export type Manner = (typeof manners)[number];

export interface ScriptedClamdOptions {
  /** How it answers the scan of that body, counted from 0; default: honest. */
  readonly manner: (index: number, body: Buffer) => Manner;
  readonly lateMs?: number;
  /** No scan is answered before. */
  readonly until?: Promise<void>;
}

/** Its proofs of health are honest: the liar that nobody suspects. */
export async function startScriptedClamd({ manner, lateMs = 50, until }: ScriptedClamdOptions): Promise<FakeClamd> {
  let scans = 0;
  return startFakeClamd({
    async scan(body) {
      const chosen = manner(scans, body);
      scans += 1;
      await until;
      if (chosen === "late") await delay(lateMs);
      return tell(body, chosen);
    },
  });
}

function tell(body: Buffer, manner: Manner): Act {
  const isInfected = body.includes(marker) || body.includes(eicar);
  const truth = isInfected ? "stream: Scripted.Marker FOUND\0" : "stream: OK\0";
  switch (manner) {
    case "honest":
    case "late":
      return isInfected ? found("Scripted.Marker") : clean;
    case "byte by byte":
      return answer(...truth);
    case "doubled":
      return answer(truth, truth);
    case "another's answer":
      return answer(truth.replace("stream", "/tmp/another"));
    case "half an answer":
      return answer(truth.slice(0, -1));
    case "end without a word":
      return answer();
    case "reset without a word":
      return reset();
    case "reset after the answer":
      return reset(truth);
    case "reset within the answer":
      return reset("stream: O");
    case "an error":
      return answer("stream: Can't allocate memory ERROR\0");
    case "nonsense":
      return answer("HTTP/1.1 200 OK\r\n\r\nstream: OK\0");
    case "never":
      return stall;
  }
}
