/** One line on a terminal that tells how far a scan is, and is gone when anything else is written. */

import type { Summary } from "./summary.ts";

export interface Progress {
  /** Takes the line away, for what is written next. */
  clear(): void;
  end(): void;
}

const everyMs = 200;

export interface ProgressOptions {
  readonly stream: NodeJS.WriteStream;
  readonly summary: () => Summary;
}

export function showProgress({ stream, summary }: ProgressOptions): Progress {
  let isShown = false;
  function clear(): void {
    if (isShown) stream.write("\r\x1b[K");
    isShown = false;
  }
  function show(): void {
    const { files, bytes, infected, unscannable, errors, elapsedMs } = summary();
    const found = `${infected + unscannable} not clean, ${errors} errors`;
    const text = `${files} files, ${shownBytes(bytes)}, ${found}, ${Math.round(elapsedMs / 1000)} s`;
    stream.write(`\r${text.slice(0, Math.max(10, (stream.columns || 80) - 1))}\x1b[K`);
    isShown = true;
  }
  const timer = setInterval(show, everyMs);
  return {
    clear,
    end() {
      clearInterval(timer);
      clear();
    },
  };
}

export function shownBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let value = bytes;
  for (; value >= 1024 && unit < units.length - 1; unit += 1) value /= 1024;
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}
