/** What clients may do to a running gateway, how it tells what happens, and how it ends. */

import { duration, gibibyte, hourMs, longestTimerMs, size, wholeNumber } from "../numbers.ts";
import { choice } from "../parser.ts";
import { setting, written } from "../setting.ts";

export const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
export const logFormats = ["auto", "json", "text"] as const;

export const runningSettings = [
  setting({
    name: "CLIENT_HEAD_TIMEOUT",
    group: "Clients",
    parser: duration({ fromMs: 1, toMs: hourMs }),
    default: written("60s"),
    help: "A new connection may be idle for so long before its first request, and a request's head may take so long from its first byte to its last.",
  }),
  setting({
    name: "CLIENT_IDLE_TIMEOUT",
    group: "Clients",
    parser: duration({ fromMs: 1, toMs: longestTimerMs }),
    default: written("60s"),
    help: "An upload that sends nothing for so long is cut off, and a client that has not taken its answer by then.",
  }),
  setting({
    name: "CLIENT_MIN_RATE",
    group: "Clients",
    parser: size({ from: 0, to: gibibyte }),
    default: written("0"),
    help: "Bytes a second that an upload must send, measured over CLIENT_IDLE_TIMEOUT. `0`: any rate will do.",
  }),
  setting({
    name: "MAX_CONNECTIONS",
    group: "Clients",
    parser: wholeNumber({ from: 0, to: 1_000_000 }),
    default: written("0"),
    help: "Connections at once. `0`: no limit.",
  }),
  setting({
    name: "SHUTDOWN_GRACE",
    group: "Running",
    parser: duration({ fromMs: 0, toMs: longestTimerMs }),
    default: written("30s"),
    help: "How long scans in flight may take to finish after SIGTERM.",
  }),
  setting({
    name: "SHUTDOWN_DELAY",
    group: "Running",
    parser: duration({ fromMs: 0, toMs: hourMs }),
    default: written("0"),
    help: "For so long after SIGTERM a gateway that was ready goes on taking requests while `/readyz` says 503 already, so that a load balancer finds out first.",
  }),
  setting({
    name: "LOG_LEVEL",
    group: "Running",
    parser: choice("a log level", logLevels),
    default: written("info"),
    help: "Lines below it are not written.",
  }),
  setting({
    name: "LOG_FORMAT",
    group: "Running",
    parser: choice("a log format", logFormats),
    default: written("auto"),
    help: "`auto`: text on a terminal, else JSON.",
  }),
] as const;
