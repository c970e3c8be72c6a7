/** The path that Go's router would serve: no empty, `.` or `..` segments (path.Clean, with the trailing slash kept). */

/** @param path begins with a slash; still percent-encoded, as Go looks at it. */
export function cleanPath(path: string): string {
  const kept: string[] = [];
  const segments = path.split("/");
  for (const segment of segments) {
    if (segment === "" || segment === ".") continue;
    if (segment === "..") kept.pop();
    else kept.push(segment);
  }
  const last = segments.at(-1);
  const hasTrailingSlash = kept.length > 0 && last === "";
  return `/${kept.join("/")}${hasTrailingSlash ? "/" : ""}`;
}

/**
 * Where to send a request with an unclean path; null when its path is clean.
 * @param target of the request line: path and query.
 */
export function redirectTarget(target: string): string | null {
  if (!target.startsWith("/")) return null;
  const [path = "", ...query] = target.split("?");
  const cleaned = cleanPath(path);
  if (cleaned === path) return null;
  // A browser reads "/\host" as "//host": another site.
  const location = [cleaned, ...query].join("?").replaceAll("\\", "%5C");
  return location.replace(/[^\x21-\x7e]/g, encodeByte);
}

/** Node gives header bytes as latin1. */
function encodeByte(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;
}
