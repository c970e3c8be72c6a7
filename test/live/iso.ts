/** An ISO 9660 image of one file (ECMA-119), as small as it can be. */

const sectorBytes = 2048;

export function iso(bytes: Uint8Array): Buffer {
  const image = Buffer.alloc(19 * sectorBytes);
  const root = record("\0", 18, sectorBytes, true);
  image.write("\x01CD001\x01", 16 * sectorBytes, "latin1");
  both(image, 16 * sectorBytes + 80, 20);
  image.writeUInt16LE(1, 16 * sectorBytes + 120);
  image.writeUInt16LE(1, 16 * sectorBytes + 124);
  image.writeUInt16LE(sectorBytes, 16 * sectorBytes + 128);
  image.writeUInt16BE(sectorBytes, 16 * sectorBytes + 130);
  root.copy(image, 16 * sectorBytes + 156);
  image.write("\xffCD001\x01", 17 * sectorBytes, "latin1");
  const directory = Buffer.concat([root, record("\x01", 18, sectorBytes, true), record("A;1", 19, bytes.length, false)]);
  directory.copy(image, 18 * sectorBytes);
  const padding = Buffer.alloc((sectorBytes - (bytes.length % sectorBytes)) % sectorBytes);
  return Buffer.concat([image, bytes, padding]);
}

function record(name: string, sector: number, size: number, isDirectory: boolean): Buffer {
  const length = 33 + name.length + ((name.length + 1) % 2);
  const made = Buffer.alloc(length);
  made[0] = length;
  both(made, 2, sector);
  both(made, 10, size);
  made[25] = isDirectory ? 2 : 0;
  made[32] = name.length;
  made.write(name, 33, "latin1");
  return made;
}

/** In both byte orders, one behind the other. */
function both(target: Buffer, at: number, value: number): void {
  target.writeUInt32LE(value, at);
  target.writeUInt32BE(value, at + 4);
}
