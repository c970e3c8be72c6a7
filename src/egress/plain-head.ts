/** Reads the head of an origin's answer as leniently as RFC 9112 allows, and writes it so that nobody can read it in another way. */

import { trimBlanks } from "../core/blanks.ts";
import { isWritable } from "./header-lines.ts";
import { readFraming } from "./message-framing.ts";
import { brokenAnswer } from "./refusal.ts";

export interface PlainHead {
  /** From 100. */
  readonly status: number;
  /** With the empty line that ends it. */
  readonly text: string;
}

/**
 * Taken as other clients take them: a bare LF (§2.2), a folded line (§5.2), space before a colon (§5.1), spaces around the status (§4), one
 * Content-Length said twice (§6.3). But a field that says where the body ends must stand on one line as it should: whoever has read it
 * before us on this connection may have read it in another way. All other bytes stay as they are.
 * @param head up to its empty line; bytes as Latin-1 characters.
 * @throws ClamgateError `upstream-failed`, which says what is wrong.
 */
export function plainHead(head: string): PlainHead {
  const [first = "", ...others] = head.split("\n").map((line) => (line.endsWith("\r") ? line.slice(0, -1) : line));
  const [, version = "", status = "", rest = ""] = /^HTTP\/(1\.[01])[ \t]+([1-9]\d\d)(|[ \t].*)$/.exec(first) ?? [];
  const reason = withoutSpaceBefore(rest);
  if (status === "" || /[\0\r]/.test(reason)) throw brokenAnswer("The origin's answer is not HTTP");
  const lines = withoutRepetition(fieldsOf(others));
  readFraming(lines.flat());
  const fields = lines.map(([name, value]) => `${name}:${value}`);
  return { status: Number(status), text: [`HTTP/${version} ${status} ${reason}`, ...fields, "", ""].join("\r\n") };
}

type Field = readonly [name: string, value: string];

const framing: ReadonlySet<string> = new Set(["content-length", "transfer-encoding"]);

function fieldsOf(lines: readonly string[]): readonly Field[] {
  const fields: (readonly [name: string, parts: string[]])[] = [];
  for (const line of lines) {
    if (line === "") break;
    if (/^[ \t]/.test(line)) {
      const [name, parts] = fields.at(-1) ?? [];
      if (name === undefined || parts === undefined) throw brokenAnswer("The origin's answer begins with a folded line");
      if (framing.has(name.toLowerCase())) throw brokenAnswer(unclearLength);
      parts.push(line);
    } else {
      const [name, value] = fieldOf(line);
      fields.push([name, [value]]);
    }
  }
  return fields.map(([name, parts]) => [name, parts.length === 1 ? parts.join("") : unfolded(parts)]);
}

function fieldOf(line: string): Field {
  const colon = line.indexOf(":");
  if (colon < 0) throw brokenAnswer("The origin's answer has a header without a colon");
  const written = line.slice(0, colon);
  const name = withoutSpaceBehind(written);
  if (/[ \t]/.test(name)) throw brokenAnswer("The origin's answer has a space in the name of a header");
  if (!isWritable(name, "")) throw brokenAnswer("The origin's answer has a header whose name is none");
  if (name !== written && framing.has(name.toLowerCase())) throw brokenAnswer(unclearLength);
  const value = line.slice(colon + 1);
  if (value.includes("\r")) throw brokenAnswer("The origin's answer has a bare CR in a header");
  if (!isWritable(name, value)) throw brokenAnswer("The origin's answer has control characters in a header");
  return [name, value];
}

const unclearLength = "The origin's answer has no clear length";

function unfolded(parts: readonly string[]): string {
  const text = parts.map(withoutSpaceBefore).map(withoutSpaceBehind);
  const line = ` ${text.join(" ")}`;
  if (!isWritable("x", line)) throw brokenAnswer("The origin's answer has control characters in a header");
  return line;
}

function withoutSpaceBefore(text: string): string {
  return text.replace(/^[ \t]+/, "");
}

/** Not by an expression that would look from each space on. */
function withoutSpaceBehind(text: string): string {
  let end = text.length;
  while (end > 0 && (text[end - 1] === " " || text[end - 1] === "\t")) end -= 1;
  return text.slice(0, end);
}

/** RFC 9110 §8.6: several lengths that are one may be read as one. */
function withoutRepetition(fields: readonly Field[]): readonly Field[] {
  const lengths = new Set<string>();
  return fields.filter(([name, value]) => {
    if (name.toLowerCase() !== "content-length") return true;
    const length = trimBlanks(value);
    const isNew = !lengths.has(length);
    lengths.add(length);
    return isNew;
  });
}
