import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFile, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { deflateRawSync, gzipSync } from "node:zlib";
import { canaryBytes, epochOf } from "../../src/signatures/canary.ts";
import { type Epochs, openEpochs } from "../../src/signatures/epochs.ts";
import { linkOperations } from "../../src/signatures/link-file.ts";
import { readSignatureSet } from "../../src/signatures/signature-set.ts";
import { writeTestSignatures } from "../../src/signatures/test-set.ts";
import { clamscan } from "./real-child.ts";
import { scratch, textSignature, writeFiles } from "./scratch.ts";

const eicar = ["X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-", "STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"].join("");
const testFiles = "/usr/share/clamav-testfiles";

/** Hard links and copies alike must serve. */
const ways = {
  "hard links": { ...linkOperations, copyFile: linkOperations.link },
  copies: linkOperations,
};

async function testEpoch(
  t: TestContext,
  operations = linkOperations,
): Promise<{ id: string; directory: string; epochs: Epochs }> {
  const root = await scratch(t);
  await writeTestSignatures(join(root, "database"));
  const epochs = await openEpochs({ directory: join(root, "epochs"), operations });
  const epoch = await epochs.prepare(await readSignatureSet(join(root, "database")));
  await epochs.activate(epoch);
  return { ...epoch, epochs };
}

describe("an epoch, loaded by the real engine", () => {
  for (const [way, operations] of Object.entries(ways)) {
    test(`detects the canary and EICAR by ${way}, through the current link`, async (t) => {
      const { id, epochs } = await testEpoch(t, operations);
      const bodies = await scratch(t);
      await writeFiles(bodies, { canary: canaryBytes, eicar });
      const lines = await clamscan(epochs.currentPath, join(bodies, "canary"), join(bodies, "eicar"));
      assert.equal(lines.length, 2);
      assert.equal(epochOf(/: (\S+) FOUND$/.exec(lines[0] ?? "")?.[1] ?? ""), id);
      assert.match(lines[1] ?? "", /: Eicar-Test-Signature\.UNOFFICIAL FOUND$/);
    });
  }

  test("detects all of ClamAV's own test files", async (t) => {
    const { directory } = await testEpoch(t);
    const names = await readdir(testFiles);
    const lines = await clamscan(directory, testFiles);
    assert.equal(names.length, 44);
    assert.deepEqual(
      lines.map((line) => line.replace(/^.*: /, "")),
      names.map(() => "ClamAV-Test-File.UNOFFICIAL FOUND"),
    );
  });

  test("detects EICAR in every usual form and nothing that only quotes it", async (t) => {
    const { directory } = await testEpoch(t);
    const bodies = await scratch(t);
    const found = {
      bare: eicar,
      "line-feed": `${eicar}\n`,
      "carriage-return": `${eicar}\r\n`,
      "blanks-to-128": eicar.padEnd(128),
      gzip: gzipSync(`${eicar}\n`),
      zip: zipOf("eicar.com", eicar),
      "zip-in-zip": zipOf("inner.zip", zipOf("eicar.com", eicar)),
      mail: mailOf(eicar),
      "mailed-zip": mailOf(zipOf("eicar.com", eicar)),
    };
    const clean = {
      "129-bytes": eicar.padEnd(129),
      quoted: `The test file reads ${eicar}`,
      "one-byte-less": eicar.slice(0, -1),
      "canary-quoted": `It reads: ${Buffer.from(canaryBytes).toString("latin1")}`,
      text: "hello, world\n",
    };
    await writeFiles(bodies, { ...found, ...clean });
    execFileSync("tar", ["--create", "--file", join(bodies, "tar"), "--directory", bodies, "bare"]);
    execFileSync("tar", ["--create", "--gzip", "--file", join(bodies, "tar-gzip"), "--directory", bodies, "bare"]);
    const lines = await clamscan(directory, bodies);
    const infected = lines.filter((line) => line.endsWith(": Eicar-Test-Signature.UNOFFICIAL FOUND"));
    const nameOf = (line: string): string => line.slice(bodies.length + 1, line.indexOf(": "));
    assert.deepEqual(infected.map(nameOf).sort(), [...Object.keys(found), "tar", "tar-gzip"].sort());
    assert.deepEqual(
      lines
        .filter((line) => line.endsWith(": OK"))
        .map(nameOf)
        .sort(),
      Object.keys(clean).sort(),
    );
  });

  for (const [name, content] of [
    ["an empty file", ""],
    ["a line that is no signature", "rubbish\n"],
  ] as const) {
    test(`is refused whole for ${name}`, async (t) => {
      const root = await scratch(t);
      await mkdir(join(root, "database"));
      await writeFiles(join(root, "database"), { "good.ndb": textSignature("A.B", "abcdefgh"), "bad.ndb": content });
      const epochs = await openEpochs({ directory: join(root, "epochs") });
      const epoch = await epochs.prepare(await readSignatureSet(join(root, "database")));
      await writeFile(join(root, "body"), "x");
      await assert.rejects(clamscan(epoch.directory, join(root, "body")), /Malformed database/);
    });
  }

  test("carries the version of a daily database that sigtool built", async (t) => {
    const root = await scratch(t);
    const database = join(root, "database");
    await mkdir(database);
    for (const version of [27001, 27002]) {
      const source = join(root, `build-${version}`);
      await mkdir(source);
      await writeFiles(source, { COPYING: "none\n", "daily.ndb": textSignature("Daily.Test-1", `CLAMGATE-DAILY-${version}`) });
      const args = ["--unsigned", `--cvd-version=${version}`, "--max-bad-sigs=0", "--build=daily.cud"];
      execFileSync("sigtool", args, {
        cwd: source,
        env: { ...process.env, SIGNDUSER: "t" },
        stdio: ["ignore", "ignore", "ignore"],
      });
      await copyFile(join(source, "daily.cud"), join(database, "daily.cud"));
      const set = await readSignatureSet(database);
      assert.equal(set.daily?.version, version);
      assert.ok(Math.abs(set.daily.builtAt.getTime() - Date.now()) < 3_600_000);
      const epochs = await openEpochs({ directory: join(root, "epochs") });
      const epoch = await epochs.prepare(set);
      await writeFile(join(root, "body"), `CLAMGATE-DAILY-${version}`);
      assert.match((await clamscan(epoch.directory, join(root, "body"))).join(), /Daily\.Test-1\.UNOFFICIAL FOUND$/);
    }
  });
});

function mailOf(attachment: string | Uint8Array): string {
  const encoded = Buffer.from(attachment).toString("base64").replace(/.{76}/g, "$&\r\n");
  return [
    "From: one@example.test",
    "To: two@example.test",
    "Subject: a file",
    "MIME-Version: 1.0",
    'Content-Type: multipart/mixed; boundary="b"',
    "",
    "--b",
    "Content-Type: text/plain",
    "",
    "See the file.",
    "--b",
    "Content-Type: application/octet-stream",
    "Content-Transfer-Encoding: base64",
    'Content-Disposition: attachment; filename="file.bin"',
    "",
    encoded,
    "--b--",
    "",
  ].join("\r\n");
}

/** One deflated file (APPNOTE 4.3). */
function zipOf(name: string, content: string | Uint8Array): Buffer {
  const plain = Buffer.from(content);
  const packed = deflateRawSync(plain);
  const common = Buffer.alloc(26);
  common.writeUInt16LE(20, 0);
  common.writeUInt16LE(8, 4);
  common.writeUInt32LE(checksum(plain), 10);
  common.writeUInt32LE(packed.length, 14);
  common.writeUInt32LE(plain.length, 18);
  common.writeUInt16LE(name.length, 22);
  const local = Buffer.concat([Buffer.from("PK\x03\x04"), common, Buffer.from(name), packed]);
  const directory = Buffer.concat([Buffer.from("PK\x01\x02\x14\x00"), common, Buffer.alloc(14), Buffer.from(name)]);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(1, 4);
  end.writeUInt16LE(1, 6);
  end.writeUInt32LE(directory.length, 8);
  end.writeUInt32LE(local.length, 12);
  return Buffer.concat([local, directory, Buffer.from("PK\x05\x06"), end]);
}

function checksum(bytes: Uint8Array): number {
  let sum = 0xffffffff;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return ~sum >>> 0;
}
