/** The log: one line per call, as JSON or for eyes; what is urgent is written before the call returns, all else within 10 ms. */

import { pino } from "pino";
import { escapeControlsInJson } from "./escape-controls.ts";
import { textLine } from "./text-line.ts";

export const logLevels = ["debug", "info", "warn", "error"] as const;

export type LogLevel = (typeof logLevels)[number];

export type LogFields = Readonly<Record<string, string | number | boolean | null | readonly string[]>>;

export interface Log {
  /**
   * One line at `level`, or nothing where the log is set to a higher one. Never throws.
   * @param isUrgent whether even a SIGKILL that comes next must not lose it; default: an error is.
   */
  write(level: LogLevel, message: string, fields?: LogFields, isUrgent?: boolean): void;
  /** True when lines of that level are written: lets a caller save the work of making one. */
  isOn(level: LogLevel): boolean;
  /** Gives the destination what it may still hold. To be called before the process ends. */
  flush(): void;
}

/** Where whole lines go, each with its line feed. */
export interface LogDestination {
  /** One that is not urgent may be kept for a moment. */
  write(line: string, isUrgent: boolean): void;
  /** Writes what is kept. */
  flush?(): void;
}

export interface LogOptions {
  /** Lines below it are not written: `trace` writes all, `fatal` and `silent` none. */
  readonly level: "trace" | LogLevel | "fatal" | "silent";
  readonly format: "json" | "text";
  readonly destination: LogDestination;
  /** Colours the text format; only for a terminal. */
  readonly isColored?: boolean;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}

export function createLog(options: LogOptions): Log {
  const { destination, now = Date.now } = options;
  const shape = options.format === "json" ? escapeControlsInJson : textLine({ isColored: options.isColored ?? false });
  const logger = pino(
    {
      level: options.level,
      base: null,
      timestamp: () => `,"time":"${new Date(now()).toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line: string) => destination.write(shape(line), isNow) },
  );
  let isNow = false;
  return {
    write(level, message, fields, isUrgent = level === "error") {
      isNow = isUrgent;
      try {
        if (fields === undefined) logger[level](message);
        else logger[level](fields, message);
      } catch {
        // A log that cannot be written must not end the work it tells about, and there is no second place to say so.
      }
    },
    isOn: (level) => logger.isLevelEnabled(level),
    flush: () => destination.flush?.(),
  };
}

/** What is held back while the descriptor refuses lines (a full disk); further ones are dropped. */
const maxHeldBytes = 1024 * 1024;

/** How long, and how much, is kept for one write. */
const keepMs = 10;
const maxKeptLength = 64 * 1024;

/**
 * Lines to an open descriptor, as 1 for standard output. Those that are not urgent go together: a system call that wakes the reader
 * of a pipe is the dearest part of a small request (130 µs of 550, measured). Only a SIGKILL within that time loses them. A reader
 * that went away or a full disk costs lines, never the process.
 */
export function logTo(descriptor: number): LogDestination {
  const stream = pino.destination({ fd: descriptor, sync: true, maxLength: maxHeldBytes });
  stream.on("error", () => {
    // Without a listener the error would be thrown into whatever was being logged.
  });
  let kept = "";
  let timer: NodeJS.Timeout | undefined;
  const writeKept = () => {
    clearTimeout(timer);
    timer = undefined;
    if (kept === "") return;
    const lines = kept;
    kept = "";
    stream.write(lines);
  };
  process.once("exit", writeKept);
  return {
    write(line, isUrgent) {
      kept += line;
      if (isUrgent || kept.length > maxKeptLength) writeKept();
      else timer ??= setTimeout(writeKept, keepMs).unref();
    },
    flush() {
      writeKept();
      stream.flushSync();
    },
  };
}
