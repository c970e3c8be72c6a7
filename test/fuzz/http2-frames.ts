/** Whether bytes are what a server of HTTP/2 sends: whole frames, SETTINGS first (RFC 9113 §3.4, §4.1). */

const frameHeaderBytes = 9;
const settings = 0x04;

export function isHttp2(bytes: Buffer): boolean {
  if (bytes.length < frameHeaderBytes || bytes[3] !== settings) return false;
  let at = 0;
  while (at + frameHeaderBytes <= bytes.length) at += frameHeaderBytes + bytes.readUIntBE(at, 3);
  return at === bytes.length;
}
