/** The pages that a person sees in the place of what was not let through. Nothing of the request stands in them. */

import { type EncapsulatedPage, encapsulatePage, escapeHtml, infectionLines, type Threat } from "../../codec/icap/answer.ts";

export function blockPage(threat: Threat, requestId: string): EncapsulatedPage {
  const [name = "(unnamed)"] = threat.names;
  const what = threat.type === 0 ? "A virus was found" : "The content could not be scanned";
  const html = page("Blocked", `${what}: <b>${escapeHtml(name)}</b>`, requestId);
  return encapsulatePage("403 Forbidden", infectionLines(threat.type, name), html);
}

/** For web proxies alone: to all others a 200 is an answer that says clean. */
export function failurePage(requestId: string, retryAfterSeconds: number): EncapsulatedPage {
  const html = page(
    "Not scanned",
    "The content could not be scanned just now, and was not delivered. Please try again.",
    requestId,
  );
  return encapsulatePage("503 Service Unavailable", [["Retry-After", String(retryAfterSeconds)]], html);
}

function page(title: string, text: string, requestId: string): string {
  return `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>${title}</title></head>
<body><h1>${title}</h1><p>${text}</p><p>Request ${escapeHtml(requestId)}</p></body></html>
`;
}
