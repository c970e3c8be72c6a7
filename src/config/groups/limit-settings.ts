/** The limits of one scan, which become options of the same name in the own clamd's clamd.conf. */

import { duration, gibibyte, hourMs, largestCount, mebibyte, size, wholeNumber } from "../numbers.ts";
import { setting, written } from "../setting.ts";

/** clamd lowers MaxFileSize to 2 GiB - 3 without a word (libclamav others.c:cl_engine_set_num). Below that there is room for what may stand before a body. */
export const largestFileBytes = 2047 * mebibyte;

/** 0 and what is too much are taken, as clamav-rest takes them, and run as the nearest that is right (adjustments.ts). */
const count = wholeNumber({ from: 0, to: largestCount });
const anySize = size({ from: 0, to: 1024 ** 2 * gibibyte });

export const limitSettings = [
  setting({
    name: "MAX_SCAN_SIZE",
    group: "Limits of one scan",
    parser: anySize,
    default: written("100M"),
    help: "Bytes scanned for one body, those unpacked from it included. Raised to MAX_FILE_SIZE where it is smaller; `0`, and more than 2047M, are run as that.",
  }),
  setting({
    name: "MAX_FILE_SIZE",
    group: "Limits of one scan",
    parser: anySize,
    default: written("25M"),
    help: "Largest body, and largest file inside one. A larger body is answered 413. `0`, and more than 2047M, are run as that: clamd scans no more of one file.",
  }),
  setting({
    name: "MAX_RECURSION",
    group: "Limits of one scan",
    parser: count,
    // ClamAV's own default. clamav-rest has 16, which would let the deepest file of clamav-testfiles go undetected.
    default: written("17"),
    help: "How deep archives in archives are opened. More than 100 are run as 100, `0` as the default.",
  }),
  setting({
    name: "MAX_FILES",
    group: "Limits of one scan",
    parser: count,
    default: written("10000"),
    help: "Files scanned in one archive or document. `0`: no limit.",
  }),
  setting({
    name: "MAX_EMBEDDEDPE",
    group: "Limits of one scan",
    parser: anySize,
    default: written("10M"),
    help: "Files larger than this are not searched for embedded Windows programs; clamd says nothing when it skips it. `0`: no limit.",
  }),
  setting({
    name: "MAX_HTMLNORMALIZE",
    group: "Limits of one scan",
    parser: anySize,
    default: written("10M"),
    help: "HTML larger than this is not normalised; clamd says nothing when it skips it. `0`: no limit.",
  }),
  setting({
    name: "MAX_HTMLNOTAGS",
    group: "Limits of one scan",
    parser: anySize,
    default: written("2M"),
    help: "Normalised HTML larger than this is not scanned without its tags; clamd says nothing when it skips it. `0`: no limit.",
  }),
  setting({
    name: "MAX_SCRIPTNORMALIZE",
    group: "Limits of one scan",
    parser: anySize,
    default: written("5M"),
    help: "Scripts larger than this are not normalised; clamd says nothing when it skips it. `0`: no limit.",
  }),
  setting({
    name: "MAX_ZIPTYPERCG",
    group: "Limits of one scan",
    parser: anySize,
    default: written("1M"),
    help: "ZIP files larger than this are not looked at again as programs; clamd says nothing when it skips it. `0`: no limit.",
  }),
  setting({
    name: "MAX_PARTITIONS",
    group: "Limits of one scan",
    parser: count,
    default: written("50"),
    help: "Partitions scanned in one disk image. `0` is run as the default, as for the next three.",
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
