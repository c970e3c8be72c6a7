/** Encryption that clamd says nothing of, and what only looks like it. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { nameOf } from "./inspecting.ts";
import { type ToolSample, toolSample } from "./tool-samples.ts";

const samples = {
  "enc.arj": "Encrypted.Arj",
  "plain.arj": null,
  "sym.gpg": "Encrypted.OpenPgp",
  "key.gpg": "Encrypted.OpenPgp",
  "key.asc": "Encrypted.OpenPgp",
  "signed.asc": null,
  "clear.asc": null,
  "detached.sig": null,
  "public.gpg": null,
  "enveloped.eml": "Encrypted.Smime",
  "authenveloped.eml": "Encrypted.Smime",
  "enveloped.p7m": "Encrypted.Smime",
  "enveloped.pem": "Encrypted.Smime",
  "detached.eml": null,
  "certificates.p7b": null,
  "certificates.pem": null,
  "certificate.der": null,
  "certificate.pem": null,
} as const satisfies Partial<Record<ToolSample, string | null>>;

const armour = toolSample("key.asc").toString();
const envelope = toolSample("enveloped.p7m").toString("base64");
const mail = (body: string) => Buffer.from(`From: a@b.example\r\nMIME-Version: 1.0\r\nSubject: s\r\n\r\n${body}`);
const filling = "a line of text that goes on\r\n";

const made: Readonly<Record<string, readonly [name: string | null, bytes: Buffer]>> = {
  "an encrypted Office document": ["Encrypted.Office", ole2("EncryptedPackage", 2)],
  "one whose directory is far behind": ["Encrypted.Office", ole2("EncryptedPackage", 2, 600_000)],
  "an Office document": [null, ole2("WordDocument", 2)],
  "a storage of that name": [null, ole2("EncryptedPackage", 1)],
  "a stream that speaks of it": [null, ole2("WordDocument", 2, 0, Buffer.from("-EncryptedPackage", "utf16le"))],
  "RAR 4 with encrypted headers": ["Encrypted.Rar", rar4(rar4Block(0x73, 0x80))],
  "RAR 4 with an encrypted member": ["Encrypted.Rar", rar4(rar4Block(0x73, 0), rar4Block(0x74, 0x8000), rar4Block(0x74, 0x8004))],
  "RAR 4": [null, rar4(rar4Block(0x73, 0), rar4Block(0x74, 0x8000), rar4Block(0x7b, 0))],
  "RAR 5 with encrypted headers": ["Encrypted.Rar", rar5(rar5Block(4, []))],
  "RAR 5 with an encrypted member": [
    "Encrypted.Rar",
    rar5(rar5Block(1, []), rar5Block(2, [2, 3, 0]), rar5Block(2, [3, 2, 0, 0, 2, 1, 0])),
  ],
  "RAR 5": [null, rar5(rar5Block(1, []), rar5Block(2, [2, 3, 0]), rar5Block(5, []))],
  "PGP/MIME": ["Encrypted.OpenPgp", mail(`--x\r\n\r\n${armour}\r\n--x--\r\n`)],
  "PGP in a mail, far behind": ["Encrypted.OpenPgp", mail(filling.repeat(20_000) + armour)],
  "an armour with headers": ["Encrypted.OpenPgp", Buffer.from(armour.replace("\n", "\nVersion: 1\nComment: a\n"))],
  "S/MIME in a mail, far behind": ["Encrypted.Smime", mail(filling.repeat(20_000) + envelope)],
  "S/MIME in an mbox": ["Encrypted.Smime", Buffer.concat([Buffer.from("From a@b Mon Jan 1\n"), mail(`\n${envelope}`)])],
  "a mail that quotes an armour": [null, mail(`> ${armour.replaceAll("\n", "\n> ")}`)],
  "a mail that names an armour": [null, mail("-----BEGIN PGP MESSAGE-----\r\nis how it begins\r\n")],
  "a mail of base64": [null, mail(`${Buffer.alloc(50_000, "MIME").toString("base64")}\r\n`)],
  "a text that names an armour": [null, Buffer.from(`Look here:\n${armour}`)],
  "one session key and nothing": [null, Buffer.from("8c0d04090302c1d2e3f4a5b6c7d8ff", "hex")],
  "session keys without end": [null, Buffer.alloc(15 * 2000, Buffer.from("8c0d04090302c1d2e3f4a5b6c7d8ff", "hex"))],
};

describe("encryption that clamd does not tell", () => {
  for (const [name, expected] of Object.entries(samples)) {
    test(`${expected === null ? "passes" : `is ${expected}`}: ${name}`, async () => {
      assert.equal(await nameOf(toolSample(name as ToolSample)), expected);
    });
  }
  for (const [name, [expected, bytes]] of Object.entries(made)) {
    test(`${expected === null ? "passes" : `is ${expected}`}: ${name}`, async () => assert.equal(await nameOf(bytes), expected));
  }

  test("is looked for in as many members as there may be", async () => {
    for (const [first, member] of [
      [rar4(rar4Block(0x73, 0)), rar4Block(0x74, 0x8000)],
      [rar5(rar5Block(1, [])), rar5Block(2, [])],
    ] as const) {
      assert.equal(await nameOf(Buffer.concat([first, ...Array(3).fill(member)]), { maxFiles: 4 }), null);
      assert.equal(await nameOf(Buffer.concat([first, ...Array(9).fill(member)]), { maxFiles: 4 }), "limit-files");
    }
  });
});

/** MS-CFB 2.6: a header, sectors, and a directory of two entries. */
function ole2(name: string, type: number, before = 0, text: Buffer = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(512);
  header.write("d0cf11e0a1b11ae1", "hex");
  const entry = (entryName: string, entryType: number) => {
    const made = Buffer.alloc(128);
    made.write(entryName, "utf16le");
    made.writeUInt16LE(2 * entryName.length + 2, 64);
    made.writeUInt8(entryType, 66);
    return made;
  };
  return Buffer.concat([
    header,
    Buffer.alloc(before - (before % 512)),
    entry("Root Entry", 5),
    entry(name, type),
    text,
    Buffer.alloc(512),
  ]);
}

function rar4(...blocks: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.from("Rar!\x1a\x07\0", "latin1"), ...blocks]);
}

function rar4Block(type: number, flags: number): Buffer {
  const block = Buffer.alloc(36);
  block.writeUInt8(type, 2);
  block.writeUInt16LE(flags, 3);
  block.writeUInt16LE(block.length, 5);
  if ((flags & 0x8000) === 0) return block;
  block.writeUInt32LE(5, 7);
  return Buffer.concat([block, Buffer.from("data.")]);
}

function rar5(...blocks: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.from("Rar!\x1a\x07\x01\0", "latin1"), ...blocks]);
}

function rar5Block(type: number, extra: readonly number[]): Buffer {
  const header = Buffer.from([type, 3, extra.length, 4, 0, 0, ...extra]);
  return Buffer.concat([Buffer.alloc(4), Buffer.from([header.length]), header, Buffer.from("data")]);
}
