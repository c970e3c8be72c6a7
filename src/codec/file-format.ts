/** File formats that an operator may call unsupported (UNSUPPORTED_FORMATS), by name. */

/** clamd opens these, in part at least. */
const opened = ["7z", "xz"] as const;

/** clamd 1.4 opens none of these; each is told by its first bytes or its last. */
export const archiveFormats = [
  "activemime",
  "appimage",
  "ar",
  "arc",
  "asar",
  "compress",
  "cramfs",
  "dar",
  "deb",
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
  "makeself",
  "mbr",
  "nar",
  "ntfs",
  "openpgp",
  "pyinstaller",
  "qcow",
  "qed",
  "rar",
  "romfs",
  "rpm",
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
  "zstd",
] as const;

export const fileFormats = [...opened, ...archiveFormats] as const;

export type FileFormat = (typeof fileFormats)[number];

/** What stands for all that clamd does not open. */
export const allArchives = "archives" as const;
