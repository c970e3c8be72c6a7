/** Paths without dot segments, and whether one lies inside a directory however an origin may read it. */

/**
 * RFC 3986 §5.2.4 on undecoded text; `%2e` counts as a dot, as WHATWG URL and origins have it. All other bytes stay as they are.
 * A path that climbs above the root stays at the root.
 */
export function withoutDotSegments(path: string): string {
  const kept: string[] = [];
  const segments = path.split("/").slice(1);
  for (const [index, segment] of segments.entries()) {
    const dots = segment.replaceAll(/%2e/gi, ".");
    if (dots === "..") kept.pop();
    else if (dots !== ".") kept.push(segment);
    // A last dot segment names a directory.
    if ((dots === "." || dots === "..") && index === segments.length - 1) kept.push("");
  }
  return `/${kept.join("/")}`;
}

/** Everything up to the last slash. */
export function directoryOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/") + 1);
}

/**
 * Also for an origin that decodes `%2F`, `%5C` or the percent sign itself before it looks for dots, that takes a backslash for a slash,
 * or that drops what follows a semicolon: what is sent is not changed for any of them, it only must not lead outside for one.
 * @param path without query.
 * @param directory ends with a slash.
 */
export function isInside(path: string, directory: string): boolean {
  return withoutDotSegments(path).startsWith(directory) && loosest(path).startsWith(loosest(directory));
}

function loosest(path: string): string {
  // However often the percent sign itself was encoded.
  const decoded = path.replaceAll(/%(25)+/g, "%").replaceAll(/%2f|%5c|\\/gi, "/");
  const segments = decoded.replaceAll(/\/{2,}/g, "/").split("/");
  return withoutDotSegments(segments.map((segment) => segment.replace(/(;|%3b).*$/i, "")).join("/"));
}
