/** File formats that an operator may call unsupported (UNSUPPORTED_FORMATS), by name. */

/** clamd opens these, in part at least, or the gateway opens them for it. */
const opened = ["7z", "ar", "deb", "makeself", "rpm", "xz", "zstd"] as const;

/** Neither opens one of these; each is told by its first bytes or its last. */
export const archiveFormats = [
  "activemime",
  "appimage",
  "arc",
  "asar",
  "compress",
  "cramfs",
  "dar",
  "erofs",
  "ext",
  "fat",
  "git",
  "gpt",
  "hfs",
  "lrzip",
  "lz4",
  "lzip",
  "lzma",
  "lzop",
  "mbr",
  "nar",
  "ntfs",
  "openpgp",
  "pyinstaller",
  "qcow",
  "qed",
  "rar",
  "romfs",
  "rzip",
  "snappy",
  "squashfs",
  "vdi",
  "vhd",
  "vhdx",
  "vmdk",
  "warc",
  "wim",
  "zchunk",
  "zlib",
  "zpaq",
] as const;

export const fileFormats = [...opened, ...archiveFormats] as const;

export type FileFormat = (typeof fileFormats)[number];

/** What stands for all that nobody opens. */
export const allArchives = "archives" as const;
