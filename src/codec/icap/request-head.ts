/** The head of an ICAP request: its request line and its fields (RFC 3507 §4.3), read strictly. */

import { trimBlanks } from "../../core/blanks.ts";
import { badRequest, IcapFault, shown } from "./fault.ts";

export const icapMethods = ["OPTIONS", "REQMOD", "RESPMOD"] as const;

export type IcapMethod = (typeof icapMethods)[number];

export interface RequestLine {
  readonly method: IcapMethod;
  /** The path without its first slash and without its query; empty where there is none. */
  readonly service: string;
}

/** Lower-case names; the value of each line, in their order. */
export type IcapFields = ReadonlyMap<string, readonly string[]>;

const requestLine = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([^ ]+) ICAP\/(\d{1,3})\.(\d{1,3})$/;
const target = /^(?:icaps?:\/\/[^/?#]*)?(\/[^?#]*)?(?:[?#].*)?$/i;
const fieldName = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** A folded line could hide in one reader what it says in another. */
const neverFolded: ReadonlySet<string> = new Set(["encapsulated", "preview", "allow", "connection"]);

/** Throws IcapFault. */
export function parseRequestLine(line: Buffer): RequestLine {
  const text = line.toString("latin1");
  if (hasControl(text)) throw badRequest("the request line has a control character");
  const [, method = "", uri = "", major] = requestLine.exec(text) ?? [];
  if (major === undefined) throw badRequest("the request line is not one of ICAP");
  if (Number(major) !== 1) throw new IcapFault(505, `the version ICAP/${major} is not known`);
  const known = icapMethods.find((one) => one === method);
  if (known === undefined) throw new IcapFault(501, `the method ${shown(method)} is not known`);
  const match = target.exec(uri);
  if (match === null) throw badRequest(`the URI ${shown(uri)} is not one of ICAP`);
  return { method: known, service: (match[1] ?? "/").slice(1) };
}

/**
 * Whether these bytes, which stand behind a whole message, can be the beginning of the next one. None can, and so can empty lines.
 * Only known methods: what else stands there is more likely the rest of a body that was taken for shorter than it is.
 */
export function mayBeginRequest(bytes: Uint8Array): boolean {
  if (bytes.length === 0) return true;
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 64)).toString("latin1");
  const begun = text.replace(/^(?:\r\n)*/, "");
  return (
    begun === "" ||
    begun === "\r" ||
    icapMethods.some((method) => begun.startsWith(`${method} `) || `${method} `.startsWith(begun))
  );
}

const maxLines = 100;

/** Takes the lines of a head, one after the other. */
export class FieldLines {
  readonly #fields = new Map<string, string[]>();
  #count = 0;
  #last: { readonly name: string; readonly values: string[] } | null = null;

  get fields(): IcapFields {
    return this.#fields;
  }

  /** @param line without its CRLF, never empty. Throws IcapFault. */
  add(line: Buffer): void {
    this.#count += 1;
    if (this.#count > maxLines) throw badRequest(`a head has more than ${maxLines} lines`);
    const text = line.toString("latin1");
    if (hasControl(text.replaceAll("\t", " "))) throw badRequest("a header line has a control character");
    if (text.startsWith(" ") || text.startsWith("\t")) {
      this.#fold(trimBlanks(text));
      return;
    }
    const colon = text.indexOf(":");
    const name = text.slice(0, Math.max(colon, 0)).toLowerCase();
    if (!fieldName.test(name)) throw badRequest(`a header line has no name before its colon: ${shown(text)}`);
    const values = this.#fields.get(name) ?? [];
    values.push(trimBlanks(text.slice(colon + 1)));
    this.#fields.set(name, values);
    this.#last = { name, values };
  }

  #fold(more: string): void {
    if (this.#last === null) throw badRequest("the first header line is folded");
    const { name, values } = this.#last;
    if (neverFolded.has(name)) throw badRequest(`the header ${name} is folded`);
    values.push(`${values.pop() ?? ""} ${more}`);
  }
}

/** Of a comma-separated list over several lines, in lower case. */
export function hasToken(fields: IcapFields, name: string, token: string): boolean {
  return (fields.get(name) ?? []).some((value) =>
    value.split(",").some((element) => trimBlanks(element).toLowerCase() === token),
  );
}

/** Null where there is none. Throws IcapFault where there are two, or where it is no number. */
export function previewOf(fields: IcapFields): number | null {
  const value = soleValue(fields, "preview");
  if (value === null) return null;
  if (!/^\d{1,10}$/.test(value) || Number(value) > 2 ** 31) throw badRequest(`Preview is ${shown(value)}`);
  return Number(value);
}

/** Throws IcapFault where there are two lines of that name. */
export function soleValue(fields: IcapFields, name: string): string | null {
  const values = fields.get(name) ?? [];
  if (values.length > 1) throw badRequest(`the header ${name} is there more than once`);
  return values[0] ?? null;
}

function hasControl(text: string): boolean {
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code < 0x20 || code === 0x7f) return true;
  }
  return false;
}
