/**
 * An encapsulated HTTP head, read leniently: clients send heads without a start line, with a request line where a status line belongs, and
 * with doubled fields. It decides nothing about framing, which is ICAP's.
 */

import { trimBlanks } from "../../core/blanks.ts";

export interface HttpHead {
  /** Of a request; null where no line looks like one. */
  readonly method: string | null;
  readonly target: string | null;
  /** Of a response; null where no line looks like one. */
  readonly status: number | null;
  /** The value of each line of that name, which is in lower case. */
  values(name: string): readonly string[];
}

const requestLine = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+) +(\S+)(?: +HTTP\/\d.*)?$/;
const statusLine = /^HTTP\/\d\S* +(\d{3})\b/;

/** Never throws. @param bytes null where there is no head. */
export function readHttpHead(bytes: Buffer | null): HttpHead {
  const lines = (bytes ?? Buffer.alloc(0)).toString("latin1").split(/\r?\n/);
  const [first = ""] = lines;
  const [, status] = statusLine.exec(first) ?? [];
  const [, method = null, target = null] = (status === undefined && requestLine.exec(first)) || [];
  const fields = new Map<string, string[]>();
  let last: string[] | null = null;
  for (const line of lines) {
    if (/^[ \t]/.test(line)) {
      last?.push(`${last.pop() ?? ""} ${trimBlanks(line)}`);
      continue;
    }
    const colon = line.indexOf(":");
    if (colon < 0) continue;
    const name = line.slice(0, colon).trim().toLowerCase();
    last = fields.get(name) ?? [];
    last.push(trimBlanks(line.slice(colon + 1)));
    fields.set(name, last);
  }
  return { method, target, status: status === undefined ? null : Number(status), values: (name) => fields.get(name) ?? [] };
}

/** Null where there is none, or several that differ: nobody knows which one counts. */
export function contentLengthOf(head: HttpHead): number | null {
  const [value = "", ...others] = new Set(head.values("content-length"));
  return others.length === 0 && /^\d{1,15}$/.test(value) ? Number(value) : null;
}

/** For the log: without user, query and fragment; null where nothing could be made out. */
export function shownUrl(head: HttpHead): string | null {
  const { target } = head;
  if (target === null) return null;
  const [withoutQuery = ""] = target.split(/[?#]/, 1);
  if (withoutQuery.startsWith("/")) {
    const [host = ""] = head.values("host");
    return `${/^[\w.:[\]-]+$/.test(host) ? host : ""}${withoutQuery}`;
  }
  const [, scheme = "", rest = withoutQuery] = /^([A-Za-z][A-Za-z0-9+.-]*:\/\/)(.*)$/s.exec(withoutQuery) ?? [];
  const slash = rest.indexOf("/");
  const authority = slash < 0 ? rest : rest.slice(0, slash);
  return scheme + authority.slice(authority.lastIndexOf("@") + 1) + (slash < 0 ? "" : rest.slice(slash));
}
