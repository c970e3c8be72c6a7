/** What an answer of the REST front says of each body that was sent: read as strictly as a cautious client would. */

import type { Answer } from "./counting-client.ts";

export type Said = "clean" | "infected" | "unscannable" | "error";

export interface RestAnswer {
  readonly status: number;
  /** One for each result. */
  readonly said: readonly Said[];
  /** For each of them what it was found to be, or why there is no verdict. */
  readonly descriptions: readonly string[];
  /** For each of them the file that it names; null where it names none. */
  readonly fileNames: readonly (string | null)[];
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
  const results = resultsIn(body.toString("utf8"));
  return {
    status,
    // An answer that is not one of results says nothing of any body: under a status of success that is the worst there is.
    said: results?.map(meaning) ?? [isSuccess(status) ? "clean" : "error"],
    descriptions: results?.map(({ Description = "" }) => Description) ?? [],
    fileNames: results?.map(({ FileName = null }) => FileName) ?? [],
    sha256: header("x-clamgate-sha256"),
    isCached: header("x-clamgate-cache") === "hit",
    allowedFor: header("x-clamgate-allowed"),
  };
}

/** What a client that looks at the status alone takes for clean. */
export function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

interface Result {
  readonly Status?: string;
  readonly Description?: string;
  readonly FileName?: string;
}

/** Null where the answer is not one of results. */
function resultsIn(text: string): readonly Result[] | null {
  const plain = /^\{(OK|FOUND) (.*) {2}(\d{3})\}$/s.exec(text);
  return plain === null ? parse(text) : [{ Status: plain[1] ?? "", Description: plain[2] ?? "" }];
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

function meaning({ Status, Description = "" }: Result): Said {
  if (Status === "OK") return "clean";
  if (Status === "PARSE ERROR") return "unscannable";
  if (Status !== "FOUND") return "error";
  return /^Heuristics\.(Limits\.Exceeded|Encrypted|Clamgate)\./.test(Description) ? "unscannable" : "infected";
}
