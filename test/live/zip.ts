/** Zip files made by hand (APPNOTE.TXT): what no archiver would make, too. */

import { crc32, deflateRawSync } from "node:zlib";

export interface ZipEntry {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Marks the entry as encrypted; its bytes go in as they are, behind the 12 bytes that traditional encryption puts first. */
  readonly isEncrypted?: boolean;
  /** Default: deflated, unless encrypted. */
  readonly isStored?: boolean;
}

export function zip(entries: readonly ZipEntry[]): Buffer {
  const locals: Buffer[] = [];
  const centrals: Buffer[] = [];
  let offset = 0;
  for (const { name, bytes, isEncrypted = false, isStored = isEncrypted } of entries) {
    const stored = isEncrypted ? Buffer.concat([Buffer.alloc(12, 0x5a), bytes]) : bytes;
    const data = isStored ? stored : deflateRawSync(bytes);
    const encodedName = Buffer.from(name);
    // Version 2.0, flags, method, DOS time and date, CRC, sizes, name and extra length: the same in both headers.
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(isEncrypted ? 1 : 0, 2);
    common.writeUInt16LE(isStored ? 0 : 8, 4);
    common.writeUInt32LE(0x5a210000, 6);
    common.writeUInt32LE(crc32(bytes), 10);
    common.writeUInt32LE(data.length, 14);
    common.writeUInt32LE(bytes.length, 18);
    common.writeUInt16LE(encodedName.length, 22);
    locals.push(Buffer.from("PK\x03\x04"), common, encodedName, Buffer.from(data));
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(offset, 10);
    centrals.push(Buffer.from("PK\x01\x02\x14\x00"), common, tail, encodedName);
    offset += 4 + common.length + encodedName.length + data.length;
  }
  const central = Buffer.concat(centrals);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(entries.length, 4);
  end.writeUInt16LE(entries.length, 6);
  end.writeUInt32LE(central.length, 8);
  end.writeUInt32LE(offset, 12);
  return Buffer.concat([...locals, central, Buffer.from("PK\x05\x06"), end]);
}
