/** The boundary that a Content-Type announces, where every reader takes the same one. */

import { parseMediaType } from "../media-type.ts";
import { ProtocolError } from "../protocol-error.ts";

/** What a request's Content-Type makes of its body (rest.md 16). */
export type BodyKind =
  | { readonly kind: "multipart"; readonly boundary: string }
  | { readonly kind: "not-multipart" }
  | { readonly kind: "no-boundary" }
  /** A multipart type that two readers could take two boundaries from. */
  | { readonly kind: "ambiguous"; readonly why: string };

/** RFC 2046 §5.1.1 */
const maxLength = 70;

/**
 * RFC 2046's characters without the comma, at which Rack and PHP stop, and the question mark, which opens an encoded word for
 * commons-fileupload; with the asterisk, of which a boundary for Android consists that half the web has copied.
 */
const boundaryPattern = /^[0-9A-Za-z'()+_\-./:=*](?:[0-9A-Za-z'()+_\-./:=* ]*[0-9A-Za-z'()+_\-./:=*])?$/;

/** One parameter as all write it and all read it: no blank but behind the semicolon, no backslash. */
const plainParameter = /;[ \t]*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)=(?:([!#$%&'*+\-.^_`|~0-9A-Za-z]+)|"([ !#-[\]-~]*)")/y;

/**
 * `multipart/mixed` counts like `multipart/form-data`, as in Go's `Request.MultipartReader`.
 * @param contentTypes the value of each Content-Type line.
 */
export function bodyKind(contentTypes: readonly string[]): BodyKind {
  const [value = "", another] = contentTypes;
  if (another !== undefined) return ambiguous("Content-Type is there more than once");
  const parsed = parseMediaType(value);
  if (parsed === null || (parsed.type !== "multipart/form-data" && parsed.type !== "multipart/mixed"))
    return { kind: "not-multipart" };
  return plainBoundary(value);
}

/** The same for a body that is no form to us but may be one to who reads it next: some look for the word alone, and take any multipart type. */
export function possibleFormKind(contentTypes: readonly string[]): BodyKind {
  const [value = "", another] = contentTypes;
  if (another !== undefined) return ambiguous("Content-Type is there more than once");
  if (!/multipart/i.test(value)) return { kind: "not-multipart" };
  const type = parseMediaType(value)?.type ?? "";
  if (!type.startsWith("multipart/")) return ambiguous("Content-Type speaks of multipart and is none");
  // Its parts are messages where they say nothing else, and Python's email takes messages apart.
  if (type === "multipart/digest") return ambiguous("Content-Type is multipart/digest, and what it holds are messages");
  return plainBoundary(value);
}

/** Throws ProtocolError for what is no boundary of a form. */
export function checkBoundary(boundary: string): void {
  if (boundary.length > maxLength) throw new ProtocolError(`the boundary has more than ${maxLength} characters`);
  if (!boundaryPattern.test(boundary)) throw new ProtocolError("the boundary has characters that readers take differently");
}

function plainBoundary(contentType: string): BodyKind {
  const type = contentType.split(";", 1)[0] ?? "";
  if (type !== type.trim()) return ambiguous("Content-Type has a blank behind its type");
  let boundary = "";
  let at = type.length;
  while (at < contentType.length && contentType.slice(at) !== ";") {
    plainParameter.lastIndex = at;
    const [written, name = "", token, quoted] = plainParameter.exec(contentType) ?? [];
    if (written === undefined) return ambiguous(`Content-Type is not plain at its character ${at}`);
    at += written.length;
    const value = token ?? quoted ?? "";
    if (name.toLowerCase() !== "boundary" || boundary !== "") {
      // Some look for the word wherever it stands: PHP takes the first, Rack the last, others `boundary*` or `xboundary`.
      if (/boundary/i.test(written)) return ambiguous("Content-Type speaks of a boundary more than once");
    } else if (/boundary=/i.test(value) || (name !== "boundary" && /boundary/.test(value))) {
      return ambiguous("Content-Type has a boundary that speaks of a boundary");
    } else {
      boundary = value;
    }
  }
  return boundary === "" ? { kind: "no-boundary" } : { kind: "multipart", boundary };
}

function ambiguous(why: string): BodyKind {
  return { kind: "ambiguous", why };
}
