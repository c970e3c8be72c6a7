/** Paths of files and directories, made absolute. */

import { basename, isAbsolute, resolve } from "node:path";
import { hasControlCharacter, type Parser, value, wrong } from "./parser.ts";

/** Relative to the working directory. */
export function path(): Parser<string> {
  return {
    allowed: "paths without quotes, absolute or relative to the working directory",
    parse: (text, { cwd }) => (isUsable(text) ? value(resolve(cwd, text)) : wrong(text, "is not a usable path")),
  };
}

/**
 * For what says who may read where: there a relative path is more likely a mistake than a wish.
 * @param name that the file must have.
 */
export function absolutePath(name: string | null = null): Parser<string> {
  return {
    allowed: `absolute paths without quotes${name === null ? "" : `, of a file named ${name}`}`,
    parse(text) {
      if (!isUsable(text) || !isAbsolute(text)) return wrong(text, "is not an absolute path");
      return name === null || basename(text) === name ? value(resolve(text)) : wrong(text, "names another file");
    },
  };
}

/** Neither clamd.conf nor freshclam.conf can hold a quote in a path: they have no escape for it. */
function isUsable(text: string): boolean {
  return !hasControlCharacter(text) && !text.includes('"');
}
