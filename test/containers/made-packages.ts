/** Packages as their tools write them, as far as readers need it. */

/** As GNU ar writes it: a name of its own, and a line feed behind an odd number of bytes. */
export function ar(...members: readonly (readonly [name: string, bytes: Buffer])[]): Buffer {
  const parts = members.flatMap(([name, bytes]) => [
    Buffer.from(`${name.padEnd(16)}0           0     0     100644  ${`${bytes.length}`.padEnd(10)}\`\n`),
    bytes,
    Buffer.from(bytes.length % 2 === 1 ? "\n" : ""),
  ]);
  return Buffer.concat([Buffer.from("!<arch>\n"), ...parts]);
}

function rpmHeader(entries: number, bytes: number): Buffer {
  const header = Buffer.alloc(16 + 16 * entries + bytes);
  header.write("8eade801", "hex");
  header.writeUInt32BE(entries, 8);
  header.writeUInt32BE(bytes, 12);
  return header;
}

/** Headers of no tags that mean something; the first is padded to eight bytes. */
export function rpm(payload: Buffer): Buffer {
  const lead = Buffer.alloc(96);
  lead.write("edabeedb", "hex");
  return Buffer.concat([lead, rpmHeader(2, 3), Buffer.alloc(5), rpmHeader(1, 7), payload]);
}

export const makeself = (payload: Buffer) =>
  Buffer.concat([Buffer.from("#!/bin/sh\n# This script was generated using Makeself 2.4.5\nexit 0\n"), payload]);
