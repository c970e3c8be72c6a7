/** Values of the shape `type; name=value; name="value"` (Content-Type, Content-Disposition), read as Go's mime.ParseMediaType reads them. */

import { decodeParameters } from "./extended-parameters.ts";

export interface MediaType {
  /** Lower-case, as `multipart/form-data` or `form-data`. */
  readonly type: string;
  /** Lower-case names without their stars; RFC 2231 forms are decoded and win over the plain ones. */
  readonly parameters: ReadonlyMap<string, string>;
}

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+/;
/** What nearly all quoted values are. */
const plainQuoted = /^"([^"\\\r\n]*)"/;
const typeOrDisposition = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:\/[!#$%&'*+\-.^_`|~0-9A-Za-z]+)?$/;
/** RFC 2045 `tspecials`: what a backslash really escapes. Before anything else it is part of a Windows path that nobody escaped. */
const tspecials = '()<>@,;:\\"/[]?=';

/**
 * Null where any part of the value is malformed; never throws. Blanks are all that Unicode calls so, as in Go: a receiver could find a
 * file name behind one, and a part without a name is not scanned. Where a boundary is read, such a blank is refused.
 */
export function parseMediaType(value: string): MediaType | null {
  const semicolon = value.indexOf(";");
  const type = (semicolon < 0 ? value : value.slice(0, semicolon)).trim().toLowerCase();
  if (!typeOrDisposition.test(type)) return null;
  const written = new Map<string, string>();
  let rest = (semicolon < 0 ? "" : value.slice(semicolon)).trim();
  while (rest !== "" && rest !== ";") {
    const parameter = takeParameter(rest);
    if (parameter === null) return null;
    const known = written.get(parameter.name);
    if (known !== undefined && known !== parameter.value) return null;
    written.set(parameter.name, parameter.value);
    rest = parameter.rest;
  }
  return { type, parameters: decodeParameters(written) };
}

function takeParameter(text: string): { name: string; value: string; rest: string } | null {
  if (!text.startsWith(";")) return null;
  const afterSemicolon = text.slice(1).trimStart();
  const name = token.exec(afterSemicolon)?.[0];
  if (name === undefined) return null;
  const afterName = afterSemicolon.slice(name.length).trimStart();
  if (!afterName.startsWith("=")) return null;
  const taken = takeValue(afterName.slice(1).trimStart());
  return taken === null ? null : { name: name.toLowerCase(), value: taken.value, rest: taken.rest.trimStart() };
}

function takeValue(text: string): { value: string; rest: string } | null {
  if (!text.startsWith('"')) {
    const value = token.exec(text)?.[0];
    return value === undefined ? null : { value, rest: text.slice(value.length) };
  }
  const plain = plainQuoted.exec(text);
  if (plain !== null) return { value: plain[1] ?? "", rest: text.slice(plain[0].length) };
  // Joined at the end: a text put together from characters takes dozens of bytes for each.
  const pieces: string[] = [];
  let start = 1;
  for (let at = 1; at < text.length; at += 1) {
    const character = text.charAt(at);
    if (character === '"') return { value: pieces.concat(text.slice(start, at)).join(""), rest: text.slice(at + 1) };
    if (character === "\r" || character === "\n") return null;
    const next = text.charAt(at + 1);
    if (character !== "\\" || next === "" || !tspecials.includes(next)) continue;
    pieces.push(text.slice(start, at));
    at += 1;
    start = at;
  }
  return null;
}
