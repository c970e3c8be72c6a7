/** The file name in a Content-Disposition header (RFC 6266, RFC 7578 §4.2), as Go's `Part.FileName` tells it. */

import { parseMediaType } from "./media-type.ts";

const slash = "/";

/**
 * The name without its directories, fit to be shown: control characters are U+FFFD. Null where there is none, or none that can be read.
 * Never throws. A backslash is part of the name.
 */
export function fileNameOf(contentDisposition: string | undefined): string | null {
  const written = parseMediaType(contentDisposition ?? "")?.parameters.get("filename") ?? "";
  if (written === "") return null;
  return replaceControls(baseName(written));
}

/** Go's `filepath.Base`: "/" for slashes only, else what follows the last slash that is not at the end. */
function baseName(path: string): string {
  let end = path.length;
  while (end > 0 && path[end - 1] === slash) end -= 1;
  if (end === 0) return slash;
  return path.slice(path.lastIndexOf(slash, end - 1) + 1, end);
}

function replaceControls(text: string): string {
  return text.replace(/\p{Cc}/gu, "\ufffd");
}
