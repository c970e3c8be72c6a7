/** The limits of one scan, which become options of the same name in the own clamd's clamd.conf. */

import { duration, hourMs } from "./duration.ts";
import { setting, written } from "./setting.ts";
import { gibibyte, size } from "./size.ts";
import { largestCount, wholeNumber } from "./whole-number.ts";

/** clamd lowers MaxFileSize to 2 GiB - 3 without a word (libclamav others.c:cl_engine_set_num), so that is already too much. */
export const largestFileBytes = 2 * gibibyte - 4;

const count = wholeNumber({ from: 1, to: largestCount });
/** clamd reads 0 as "no limit" here, and no file is larger than the largest one. */
const innerSize = size({ from: 0, to: largestFileBytes });

export const limitSettings = [
  setting({
    name: "MAX_SCAN_SIZE",
    group: "Limits of one scan",
    parser: size({ from: 1, to: 1024 * gibibyte }),
    default: written("100M"),
    help: "Bytes scanned for one body, those unpacked from it included. At least MAX_FILE_SIZE.",
  }),
  setting({
    name: "MAX_FILE_SIZE",
    group: "Limits of one scan",
    parser: size({ from: 1, to: largestFileBytes }),
    default: written("25M"),
    help: "Largest body, and largest file inside one. A larger body is answered 413.",
  }),
  setting({
    name: "MAX_RECURSION",
    group: "Limits of one scan",
    // libclamav default.h:CLI_MAX_MAXRECLEVEL; a newer clamd refuses to start above it.
    parser: wholeNumber({ from: 1, to: 100 }),
    // ClamAV's own default. clamav-rest has 16, which would let the deepest file of clamav-testfiles go undetected.
    default: written("17"),
    help: "How deep archives in archives are opened.",
  }),
  setting({
    name: "MAX_FILES",
    group: "Limits of one scan",
    parser: count,
    default: written("10000"),
    help: "Files scanned in one archive or document.",
  }),
  setting({
    name: "MAX_EMBEDDEDPE",
    group: "Limits of one scan",
    parser: innerSize,
    default: written("10M"),
    help: "Files larger than this are not searched for embedded Windows programs; clamd says nothing when it skips it. `0`: no limit.",
  }),
  setting({
    name: "MAX_HTMLNORMALIZE",
    group: "Limits of one scan",
    parser: innerSize,
    default: written("10M"),
    help: "HTML larger than this is not normalised; clamd says nothing when it skips it. `0`: no limit.",
  }),
  setting({
    name: "MAX_HTMLNOTAGS",
    group: "Limits of one scan",
    parser: innerSize,
    default: written("2M"),
    help: "Normalised HTML larger than this is not scanned without its tags; clamd says nothing when it skips it. `0`: no limit.",
  }),
  setting({
    name: "MAX_SCRIPTNORMALIZE",
    group: "Limits of one scan",
    parser: innerSize,
    default: written("5M"),
    help: "Scripts larger than this are not normalised; clamd says nothing when it skips it. `0`: no limit.",
  }),
  setting({
    name: "MAX_ZIPTYPERCG",
    group: "Limits of one scan",
    parser: innerSize,
    default: written("1M"),
    help: "ZIP files larger than this are not looked at again as programs; clamd says nothing when it skips it. `0`: no limit.",
  }),
  setting({
    name: "MAX_PARTITIONS",
    group: "Limits of one scan",
    parser: count,
    default: written("50"),
    help: "Partitions scanned in one disk image.",
  }),
  setting({
    name: "MAX_ICONSPE",
    group: "Limits of one scan",
    parser: count,
    default: written("100"),
    help: "Icons scanned in one Windows program.",
  }),
  setting({
    name: "PCRE_MATCHLIMIT",
    group: "Limits of one scan",
    parser: count,
    default: written("100000"),
    help: "Calls of the match function for one regular expression of a signature.",
  }),
  setting({
    name: "PCRE_RECMATCHLIMIT",
    group: "Limits of one scan",
    parser: count,
    default: written("2000"),
    help: "Recursive calls of the match function for one regular expression of a signature.",
  }),
  setting({
    name: "MAX_SCAN_TIME",
    group: "Limits of one scan",
    parser: duration({ fromMs: 1, toMs: hourMs }),
    default: written("60s"),
    help: "How long clamd works on one body. It looks at the clock only now and then, so SCAN_TIMEOUT is longer.",
  }),
] as const;
