/** Reads a child's pipe line by line, in bounded memory whatever the child writes. */

import type { Readable } from "node:stream";

export interface LineOptions {
  /** Called for every line, without its end; must not throw. */
  readonly onLine: (line: string) => void;
  /** UTF-16 units; what a line has beyond them is dropped and an ellipsis says so. */
  readonly maxLineLength?: number;
}

/**
 * Resolves when the stream has closed, its last line delivered even without a line end. Never rejects: a pipe that breaks
 * ends like one that ends, for the child's own end tells what happened.
 */
export function readLines(stream: Readable, options: LineOptions): Promise<void> {
  const lines = lineSplitter(options);
  const { promise, resolve } = Promise.withResolvers<void>();
  stream.setEncoding("utf8");
  stream.on("data", (text: string) => lines.push(text));
  // Without a listener a broken pipe would end the gateway.
  stream.on("error", () => {});
  stream.once("close", () => {
    lines.end();
    resolve();
  });
  return promise;
}

/** node:readline would hold a line of any length. */
function lineSplitter({ onLine, maxLineLength = 8_192 }: LineOptions): { push(text: string): void; end(): void } {
  let pending = "";
  let isCut = false;

  const keep = (part: string): void => {
    const room = maxLineLength - pending.length;
    if (part.length > room) isCut = true;
    pending += room > 0 ? part.slice(0, room) : "";
  };
  const deliver = (): void => {
    const line = isCut ? `${pending.toWellFormed()}…` : pending.replace(/\r$/, "");
    pending = "";
    isCut = false;
    onLine(line);
  };

  return {
    push: (text) => {
      let start = 0;
      for (let end = text.indexOf("\n"); end !== -1; end = text.indexOf("\n", start)) {
        keep(text.slice(start, end));
        deliver();
        start = end + 1;
      }
      keep(text.slice(start));
    },
    end: () => {
      if (pending !== "") deliver();
    },
  };
}
