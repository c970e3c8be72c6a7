/** Parameters that were split or percent-encoded (RFC 2231, RFC 8187): `name*`, `name*0`, `name*0*` become `name`. */

/**
 * @param written names in lower case, as they stand in the header.
 * An encoded form that cannot be decoded (another charset than UTF-8 or US-ASCII, a bad `%`) leaves the plain one, if there is one.
 */
export function decodeParameters(written: ReadonlyMap<string, string>): Map<string, string> {
  const decoded = new Map<string, string>();
  const starred = new Set<string>();
  for (const [name, value] of written) {
    const star = name.indexOf("*");
    if (star < 0) decoded.set(name, value);
    else starred.add(name.slice(0, star));
  }
  for (const name of starred) {
    const whole = written.get(`${name}*`);
    const bytes = whole === undefined ? joinPieces(name, written) : decodeExtended(whole);
    // Decoded at the end: a piece may end in the middle of a character.
    if (bytes !== null) decoded.set(name, bytes.toString("utf8"));
  }
  return decoded;
}

function joinPieces(name: string, written: ReadonlyMap<string, string>): Buffer | null {
  const pieces: Buffer[] = [];
  for (let index = 0; ; index += 1) {
    const plain = written.get(`${name}*${index}`);
    const encoded = written.get(`${name}*${index}*`);
    if (plain !== undefined) {
      pieces.push(Buffer.from(plain, "utf8"));
    } else if (encoded !== undefined) {
      // Only the first piece names the charset.
      const piece = index === 0 ? decodeExtended(encoded) : decodePercent(encoded);
      if (piece === null) return null;
      pieces.push(piece);
    } else {
      return pieces.length === 0 ? null : Buffer.concat(pieces);
    }
  }
}

function decodeExtended(value: string): Buffer | null {
  const charsetEnd = value.indexOf("'");
  const languageEnd = value.indexOf("'", charsetEnd + 1);
  if (charsetEnd < 0 || languageEnd < 0) return null;
  const charset = value.slice(0, charsetEnd).toLowerCase();
  if (charset !== "utf-8" && charset !== "us-ascii") return null;
  return decodePercent(value.slice(languageEnd + 1));
}

function decodePercent(text: string): Buffer | null {
  const bytes = Buffer.from(text, "utf8");
  let length = 0;
  for (let at = 0; at < bytes.length; at += 1) {
    let byte = bytes[at] ?? 0;
    if (byte === 0x25) {
      const digits = bytes.toString("latin1", at + 1, at + 3);
      if (!/^[0-9A-Fa-f]{2}$/.test(digits)) return null;
      byte = Number.parseInt(digits, 16);
      at += 2;
    }
    bytes[length] = byte;
    length += 1;
  }
  return bytes.subarray(0, length);
}
