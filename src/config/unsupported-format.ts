/** Formats that an operator may refuse because clamd looks at them in part or not at all; each begins with a magic number. */

export const unsupportedFormats = ["7z", "lz4", "lzip", "lzop", "rar", "snappy", "xz", "zstd"] as const;

export type UnsupportedFormat = (typeof unsupportedFormats)[number];
