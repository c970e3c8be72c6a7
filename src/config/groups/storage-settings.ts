/** What the gateway writes, where, and how much. */

import { join } from "node:path";
import { path } from "../addresses.ts";
import { gibibyte, size } from "../numbers.ts";
import { derived, setting, written } from "../setting.ts";

export const storageSettings = [
  setting({
    name: "STATE_DIRECTORY",
    group: "Storage",
    parser: path(),
    default: written("state"),
    help: "Everything the gateway writes, unless another setting puts it elsewhere: signatures, spool, verdict cache, clamd's files.",
  }),
  setting({
    name: "SPOOL_DIRECTORY",
    group: "Storage",
    parser: path(),
    default: derived("STATE_DIRECTORY/spool", ({ stateDirectory }) => join(stateDirectory, "spool")),
    help: "Bodies while they are scanned. For this gateway alone: it is emptied at the start.",
  }),
  setting({
    name: "SPOOL_MEMORY",
    group: "Storage",
    parser: size({ from: 0, to: gibibyte }),
    default: written("1M"),
    help: "A body up to this size stays in memory.",
  }),
  setting({
    name: "SPOOL_MEMORY_TOTAL",
    group: "Storage",
    parser: size({ from: 0, to: 1024 * gibibyte }),
    default: written("32M"),
    help: "All bodies in memory together; further ones go to files.",
  }),
  setting({
    name: "SPOOL_MAX",
    group: "Storage",
    parser: size({ from: 1, to: 1024 * 1024 * gibibyte }),
    default: written("10G"),
    help: "All spool files together; beyond it requests are answered 503. At least MAX_FILE_SIZE.",
  }),
] as const;
