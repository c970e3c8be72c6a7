/** A value in a query as the bytes that it stands for: a file's name need not be UTF-8. */

/**
 * The first value of that name; null where there is none, or an empty one.
 * @param target of the request line. What it has beyond ASCII, over HTTP/2, is a character for each byte, as Node gives it.
 */
export function queryBytes(target: string, name: string): Buffer | null {
  const start = target.indexOf("?");
  if (start < 0) return null;
  for (const pair of target.slice(start + 1).split("&")) {
    const equals = pair.indexOf("=");
    const key = equals < 0 ? pair : pair.slice(0, equals);
    if (decoded(key).toString() !== name) continue;
    const bytes = decoded(equals < 0 ? "" : pair.slice(equals + 1));
    return bytes.length === 0 ? null : bytes;
  }
  return null;
}

/** As forms are encoded; what is no escape stays as it is. */
function decoded(text: string): Buffer {
  const bytes = text
    .replaceAll("+", " ")
    .replace(/%([0-9a-f]{2})/gi, (_escape, hex: string) => String.fromCharCode(parseInt(hex, 16)));
  return Buffer.from(bytes, "latin1");
}
