/** A temporary directory for one test, and small things to put into it. */

import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";

/** Absolute path; removed after the test. */
export async function scratch(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "clamgate-signatures-"));
  t.after(() => rm(directory, { recursive: true, force: true }));
  // Tests that give up root must still get in.
  await chmod(directory, 0o755);
  return directory;
}

/** A 512-byte container header and a little rubbish behind it. */
export function container(version: number, builtAt: Date, signatures = 1): Buffer {
  const seconds = Math.floor(builtAt.getTime() / 1000);
  const header = `ClamAV-VDB:22 Nov 2026 10-00 +0000:${version}:${signatures}:90:d41d8cd98f00b204e9800998ecf8427e:X:tester:${seconds}`;
  return Buffer.concat([Buffer.from(header.padEnd(512)), Buffer.from("no real archive")]);
}

/** An .ndb line that detects `text` anywhere. */
export function textSignature(name: string, text: string): string {
  return `${name}:0:*:${Buffer.from(text).toString("hex")}\n`;
}

export async function writeFiles(directory: string, files: Readonly<Record<string, string | Uint8Array>>): Promise<void> {
  for (const [name, content] of Object.entries(files)) await writeFile(join(directory, name), content);
}

/** Runs `work` as a user whom file modes bind: root reads and writes anything. */
export async function unprivileged<T>(work: () => Promise<T>): Promise<T> {
  if (process.geteuid?.() !== 0) return work();
  process.seteuid?.(65534);
  try {
    return await work();
  } finally {
    process.seteuid?.(0);
  }
}
