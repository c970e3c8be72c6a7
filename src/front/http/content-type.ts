/** The Content-Type lines of a request: Node's `headers` show the first alone, and somebody behind may take the last. */

import type { RawRequest } from "./raw.ts";

export function contentTypesOf({ rawHeaders }: Pick<RawRequest, "rawHeaders">): string[] {
  return rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === "content-type");
}
