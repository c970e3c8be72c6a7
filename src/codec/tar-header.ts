/** What a tar begins with, and each of its members: a header with a checksum (POSIX.1 pax, "ustar Interchange Format"). */

export const tarHeaderBytes = 512;

/** As clamd and tar programs compare it: POSIX sums bytes without a sign, some old programs with one. */
export function isTarHeader(header: Uint8Array): boolean {
  if (header.length < tarHeaderBytes) return false;
  const digits = /^[\t-\r ]*([0-7]+)/.exec(String.fromCharCode(...header.subarray(148, 156)))?.[1];
  if (digits === undefined) return false;
  let unsigned = 8 * 0x20;
  let negative = 0;
  for (let index = 0; index < tarHeaderBytes; index += 1) {
    const byte = index >= 148 && index < 156 ? 0 : (header[index] ?? 0);
    unsigned += byte;
    if (byte >= 0x80) negative += 0x100;
  }
  const sum = Number.parseInt(digits, 8);
  return sum === unsigned || sum === unsigned - negative;
}
