/** Paths as people, programs and URIs read them: names may hold anything but a slash and a null byte, and need not be UTF-8. */

import { isUtf8 } from "node:buffer";
import { relative, resolve } from "node:path";
import { escapeControls } from "../log/escape-controls.ts";
import type { FilePath } from "./library.ts";

const longestCharacter = 4;

/** On one line, with nothing in it that a terminal obeys; a byte that is no UTF-8 is `\xNN`. */
export function shownPath(path: FilePath): string {
  if (typeof path === "string" || isUtf8(path)) return escapeControls(String(path));
  let text = "";
  for (let at = 0; at < path.length; ) {
    const length = characterAt(path, at);
    text +=
      length === 0 ? `\\x${path.toString("hex", at, at + 1)}` : escapeControls(path.subarray(at, at + length).toString("utf8"));
    at += Math.max(1, length);
  }
  return text;
}

/** Whether its text alone tells which file it is. */
export function isText(path: FilePath): boolean {
  return typeof path === "string" || isUtf8(path);
}

/** Relative to `directory` where the path lies below it, else a whole `file:` URI. Each byte beyond plain letters is encoded. */
export function uriOf(path: FilePath, directory: string): { readonly uri: string; readonly isRelative: boolean } {
  // Latin-1 keeps every byte as one character.
  const base = Buffer.from(directory).toString("latin1");
  const whole = resolve(base, Buffer.from(path).toString("latin1"));
  const below = relative(base, whole);
  const isRelative = below !== "" && below !== ".." && !below.startsWith("../");
  return isRelative ? { uri: encoded(below), isRelative } : { uri: `file://${encoded(whole)}`, isRelative };
}

function encoded(latin1: string): string {
  return latin1.replace(/[^A-Za-z0-9/._~-]/g, (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`);
}

/** Bytes of the UTF-8 character that begins there; 0 where none does. */
function characterAt(bytes: Buffer, at: number): number {
  for (let length = 1; length <= longestCharacter && at + length <= bytes.length; length += 1) {
    if (isUtf8(bytes.subarray(at, at + length))) return length;
  }
  return 0;
}
