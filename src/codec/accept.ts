/** What an `Accept` field says of HTML (RFC 9110 §12.5.1). */

import { parseMediaType } from "./media-type.ts";

/** Whether HTML is asked for by its name: a browser does; curl, which takes anything, does not. */
export function asksForHtml(accept: string): boolean {
  return accept.split(",").some((range) => {
    const media = parseMediaType(range);
    return media?.type === "text/html" && Number(media.parameters.get("q") ?? "1") > 0;
  });
}
