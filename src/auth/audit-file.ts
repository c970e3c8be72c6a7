/** The file that AUDIT names: lines are added to its end, and each has been written when the call returns. */

import { closeSync, constants, openSync, writeSync } from "node:fs";

export interface AuditFile {
  /** False where the system would not take all of it. */
  write(line: string): boolean;
  /** Opens it anew: whoever rotates it has moved the old one. Throws the system's error; then the old one stays. */
  reopen(): void;
  close(): void;
}

/** Throws the system's error. A file that is not there is made, for its owner's eyes alone. */
export function openAuditFile(path: string): AuditFile {
  // Whatever else it is, nobody waits for it.
  const open = () => openSync(path, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK, 0o600);
  let descriptor: number | null = open();
  /** Whether it ends within a line. */
  let isTorn = false;

  return {
    write(line) {
      // Its number may be another file's by now.
      if (descriptor === null) return false;
      const bytes = Buffer.from(isTorn ? `\n${line}` : line);
      let written = 0;
      try {
        while (written < bytes.length) {
          const count = writeSync(descriptor, bytes, written);
          if (count === 0) return false;
          written += count;
        }
        isTorn = false;
        return true;
      } catch {
        if (written > 0) isTorn = true;
        return false; // told by whoever asked, line by line
      }
    },
    reopen() {
      if (descriptor === null) return;
      const next = open();
      closeSync(descriptor);
      descriptor = next;
      isTorn = false;
    },
    close() {
      if (descriptor !== null) closeSync(descriptor);
      descriptor = null;
    },
  };
}
