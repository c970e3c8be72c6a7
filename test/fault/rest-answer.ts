/** What an answer of the REST front says of each body that was sent: read as strictly as a cautious client would. */

import type { Answer } from "./counting-client.ts";

export type Said = "clean" | "infected" | "unscannable" | "error";

export interface RestAnswer {
  readonly status: number;
  /** One for each result. */
  readonly said: readonly Said[];
  /** Echoed where there was one body. */
  readonly sha256: string | null;
  readonly isCached: boolean;
  /** Reasons for which a body that is not clean was let pass. */
  readonly allowedFor: string | null;
}

export function readRestAnswer({ status, headers, body }: Answer): RestAnswer {
  const header = (name: string) => {
    const value = headers[name];
    return typeof value === "string" ? value : null;
  };
  return {
    status,
    said: saidIn(body.toString("utf8"), status),
    sha256: header("x-clamgate-sha256"),
    isCached: header("x-clamgate-cache") === "hit",
    allowedFor: header("x-clamgate-allowed"),
  };
}

function saidIn(text: string, status: number): readonly Said[] {
  const plain = /^\{(OK|FOUND) (.*) {2}(\d{3})\}$/s.exec(text);
  if (plain !== null) return [meaning(plain[1] ?? "", plain[2] ?? "")];
  const results = parse(text);
  // An answer that is not one of results says nothing of any body: at 200 that is the worst there is.
  if (results === null) return [status === 200 ? "clean" : "error"];
  return results.map(({ Status = "", Description = "" }) => meaning(Status, Description));
}

interface Result {
  readonly Status?: string;
  readonly Description?: string;
}

/** An array, one object, or objects one after the other (rest.md 20, 32). */
function parse(text: string): readonly Result[] | null {
  try {
    const value: unknown = JSON.parse(text.startsWith("[") ? text : `[${text.replaceAll("}{", "},{")}]`);
    return Array.isArray(value) ? value : null;
  } catch {
    return null; // plain text, as "request Content-Type isn't multipart/form-data"
  }
}

function meaning(status: string, description: string): Said {
  if (status === "OK") return "clean";
  if (status === "PARSE ERROR") return "unscannable";
  if (status !== "FOUND") return "error";
  return /^Heuristics\.(Limits\.Exceeded|Encrypted|Clamgate)\./.test(description) ? "unscannable" : "infected";
}
