/** Asks about a text whose truth changes with the signatures: what it must be by now is known to who asks, and to no account. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";

export interface AnswerAbout {
  readonly status: number;
  readonly isCached: boolean;
}

/** The answer is about that very text, or an error. */
export async function askAbout(url: string, text: string): Promise<AnswerAbout> {
  const response = await fetch(`${url}/scanHandlerBody`, { method: "POST", body: text });
  await response.arrayBuffer();
  const { status, headers } = response;
  if (status < 500) assert.equal(headers.get("x-clamgate-sha256"), createHash("sha256").update(text).digest("hex"), text);
  return { status, isCached: headers.get("x-clamgate-cache") === "hit" };
}
