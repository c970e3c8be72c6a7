/** freshclam's log, written by us: freshclam itself would write each address with its password. */

import { createWriteStream } from "node:fs";
import { chmod, rename, stat } from "node:fs/promises";
import { finished } from "node:stream/promises";
import { isMissing } from "../signature-files.ts";
import type { RunChild } from "./freshclam.ts";
import { withoutSecrets } from "./without-secrets.ts";

/** Of one run, and of a file: then a new one is begun, and one old one is kept. */
const maxBytes = 1 << 20;

/** @param path of a file that its user alone can read. A log that cannot be written costs no update. */
export function logTo(path: string, run: RunChild): RunChild {
  return async (options) => {
    await makeRoom(path).catch(() => {}); // told by the file that is not there
    const log = createWriteStream(path, { flags: "a", mode: 0o600 });
    log.on("error", () => {}); // as above
    const onLine = (line: string): void => {
      if (log.bytesWritten + log.writableLength < maxBytes) log.write(`${withoutSecrets(line)}\n`);
    };
    try {
      return await run({ ...options, onLine });
    } finally {
      log.end();
      await finished(log).catch(() => {}); // as above
    }
  };
}

async function makeRoom(path: string): Promise<void> {
  try {
    if ((await stat(path)).size > maxBytes) await rename(path, `${path}.1`);
    // One of an earlier release may be open to others.
    else await chmod(path, 0o600);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}
