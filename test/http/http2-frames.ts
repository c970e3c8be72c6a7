/** HTTP/2 as bytes, for what no client library would send (RFC 9113 §4, §6; RFC 7541). */

export const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** RFC 9113 §6 */
export const frameTypes = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const flags = { none: 0, acknowledged: 1, endStream: 1, endHeaders: 4 } as const;

const initialWindowSize = 4;

/** RFC 9113 §4.1 */
export function frameOf(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** RFC 7541 §6.2.2: a field without indexing, its name and value in full. */
export function field(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.of(0), text(name), text(value)]);
}

/** RFC 7541 §6.2.1: the same, and kept for later references. */
export function keptField(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.of(0x40), text(name), text(value)]);
}

/** RFC 7541 §6.1: the field that was kept last. */
export const lastKeptField = Buffer.of(0x80 | 62);

export function headOf(method: string, path: string): Buffer {
  return Buffer.concat([field(":method", method), field(":scheme", "http"), field(":path", path), field(":authority", "x")]);
}

export function reset(stream: number, code: number): Buffer {
  return frameOf(frameTypes.reset, flags.none, stream, number32(code));
}

/** @param stream 0 for the connection. */
export function windowUpdate(stream: number, bytes: number): Buffer {
  return frameOf(frameTypes.windowUpdate, flags.none, stream, number32(bytes));
}

/** @param window how much of each stream may come before its WINDOW_UPDATE. */
export function settings(window?: number): Buffer {
  const payload = Buffer.alloc(window === undefined ? 0 : 6);
  if (window !== undefined) {
    payload.writeUInt16BE(initialWindowSize, 0);
    payload.writeUInt32BE(window, 2);
  }
  return frameOf(frameTypes.settings, flags.none, 0, payload);
}

export const settingsTaken = frameOf(frameTypes.settings, flags.acknowledged, 0, Buffer.alloc(0));

function number32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** RFC 7541 §5.2, without Huffman coding, its length with a prefix of 7 bits (§5.1). */
function text(value: string): Buffer {
  const most = 0x7f;
  const length: number[] = [Math.min(value.length, most)];
  if (value.length >= most) {
    let rest = value.length - most;
    for (; rest > most; rest >>= 7) length.push((rest & most) | 0x80);
    length.push(rest);
  }
  return Buffer.concat([Buffer.from(length), Buffer.from(value, "latin1")]);
}
