/** The part of .dockerignore's language that ours uses: `*`, exact paths, `!` before either; the last match decides. */

/** @returns whether a path relative to the context reaches the builder. */
export function readIgnoreList(source: string): (path: string) => boolean {
  const rules = source
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => ({ isKept: line.startsWith("!"), pattern: line.replace(/^!/, "") }));
  for (const { pattern } of rules) {
    if (pattern !== "*" && /[*?[\]\\]|^\/|\/$/.test(pattern)) throw new Error(`not understood: ${pattern}`);
  }
  return (path) => rules.findLast(({ pattern }) => covers(pattern, path))?.isKept ?? true;
}

/** A pattern that names a directory covers what lies in it. */
function covers(pattern: string, path: string): boolean {
  return pattern === "*" || path === pattern || path.startsWith(`${pattern}/`);
}
