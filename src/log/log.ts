/** The log: one line per call, as JSON or for eyes. Nobody ever waits for it. */

import { countLines } from "./counted-lines.ts";
import { escapeControlsInJson, jsonString } from "./escape-controls.ts";
import { textLine } from "./text-line.ts";

export const logLevels = ["debug", "info", "warn", "error"] as const;

export type LogLevel = (typeof logLevels)[number];

export type LogFields = Readonly<Record<string, string | number | boolean | null | readonly string[]>>;

export interface Log {
  /**
   * One line at `level`, or nothing where the log is set to a higher one. Never throws.
   * @param fields or their text in JSON without the braces, one line of it: `"a":1,"b":"c"`.
   * @param isFinding whether it tells what a scan has found.
   */
  write(level: LogLevel, message: string, fields?: LogFields | string, isFinding?: boolean): void;
  /**
   * As `write`, for what a client can cause at will: of a flood the first lines of each second are written, and one with the number of the others.
   * @param kind what the counted lines have in common, of a closed set; that one line shows it.
   */
  writeCounted(level: LogLevel, message: string, fields: LogFields, kind: LogFields): void;
  /** True when lines of that level are written: lets a caller save the work of making one. */
  isOn(level: LogLevel): boolean;
  /** Lines that the destination had no room for. */
  lostLines(): number;
  /** Tells what has been counted, has the destination write what it may still hold, and waits for it only briefly. To be called before the process ends. */
  flush(): void;
}

/** `now`: on record whatever comes next. `soon`: the same, unless there is a flood of them. `later`: within a moment. */
export type LogUrgency = "now" | "soon" | "later";

/** Where whole lines go, each with its line feed. */
export interface LogDestination {
  /**
   * What is to be written `now` is so before the call returns, unless the reader has stalled.
   * Never waits: a line for which there is no room is left out and counted.
   */
  write(line: string, urgency: LogUrgency): void;
  /** Writes what is kept, or gives up soon. */
  flush?(): void;
  readonly lostLines?: number;
  /** `tell` is called with the number of lines that were left out, once there is room again. */
  onLost?(tell: (lines: number) => void): void;
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

/** A log writes its own level and those behind it. */
const order = ["trace", ...logLevels, "fatal", "silent"] as const satisfies readonly LogOptions["level"][];

export function createLog(options: LogOptions): Log {
  const { destination, now = Date.now } = options;
  const shape = options.format === "json" ? (line: string) => line : textLine({ isColored: options.isColored ?? false });
  const timestamp = createTimestamp();
  const written = new Set<string>(order.slice(order.indexOf(options.level)));
  const counted = countLines();
  const log: Log = {
    write(level, message, fields = "", isFinding = false) {
      if (!written.has(level)) return;
      try {
        // In pieces: one object of all of them would be a copy of the fields for each line.
        const pairs = typeof fields === "string" ? fields : escapeControlsInJson(JSON.stringify(fields).slice(1, -1));
        const line = `{"level":"${level}","time":"${timestamp(now())}",${pairs}${pairs === "" ? "" : ","}"msg":${jsonString(message)}}\n`;
        destination.write(shape(line), level === "error" ? "now" : isFinding ? "soon" : "later");
      } catch {
        // A log that cannot be written must not end the work it tells about, and there is no second place to say so.
      }
    },
    writeCounted(level, message, fields, kind) {
      if (!log.isOn(level)) return;
      const tell = (lines: number) => log.write(level, `${message}: lines left out`, { ...kind, lines });
      if (counted.admit(`${message} ${Object.values(kind)}`, tell)) log.write(level, message, fields);
    },
    isOn: (level) => written.has(level),
    lostLines: () => destination.lostLines ?? 0,
    flush() {
      counted.flush();
      destination.flush?.();
    },
  };
  destination.onLost?.((lines) => log.write("warn", "log lines lost: nobody read them, or they could not be written", { lines }));
  return log;
}

/** As Date's `toISOString`, which is dear: all but the milliseconds are made once a second. */
function createTimestamp(): (epochMs: number) => string {
  let second = Number.NaN;
  let untilSecond = "";
  return (epochMs) => {
    const ms = Math.floor(epochMs);
    const now = Math.floor(ms / 1000);
    if (now !== second) {
      second = now;
      untilSecond = new Date(now * 1000).toISOString().slice(0, -"000Z".length);
    }
    return `${untilSecond}${String(ms - now * 1000).padStart(3, "0")}Z`;
  };
}
