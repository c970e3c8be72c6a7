/** Reads the 512-byte header of a signature container (.cvd, .cld, .cud). */

export interface CvdHeader {
  /** The database's number: grows by one with every release. */
  readonly version: number;
  readonly signatures: number;
  /** The least engine level the database asks for. */
  readonly functionalityLevel: number;
  /** When it was built: the age of a database is told from this, never from the file's mtime. */
  readonly builtAt: Date;
  readonly builder: string;
}

const cvdHeaderBytes = 512;

/**
 * `ClamAV-VDB:time:version:signatures:level:md5:signature:builder:epoch`, padded with blanks (libclamav/cvd.c, cl_cvdparse).
 * Null for anything else, however short, long or binary. A header says nothing about whether the rest is whole.
 */
export function parseCvdHeader(bytes: Uint8Array): CvdHeader | null {
  if (bytes.length < cvdHeaderBytes) return null;
  const text = Buffer.from(bytes.subarray(0, cvdHeaderBytes)).toString("latin1");
  const [magic, time, version, signatures, level, , , builder, epoch] = text.trimEnd().split(":");
  if (magic !== "ClamAV-VDB" || time === undefined || builder === undefined) return null;
  const numbers = [version, signatures, level].map(wholeNumber);
  const [versionNumber, signatureCount, functionalityLevel] = numbers;
  if (versionNumber == null || signatureCount == null || functionalityLevel == null) return null;
  const builtAt = builtTime(epoch, time);
  if (builtAt === null) return null;
  return { version: versionNumber, signatures: signatureCount, functionalityLevel, builtAt, builder };
}

/** The last field is in seconds; databases from before it existed carry only `22 Nov 2026 14-09 +0000`. */
function builtTime(epoch: string | undefined, time: string): Date | null {
  const seconds = wholeNumber(epoch?.trim());
  if (seconds !== null && seconds > 0) return new Date(seconds * 1000);
  const written = /^(\d{1,2} [A-Z][a-z]{2} \d{4}) (\d{2})-(\d{2}) ([+-]\d{4})$/.exec(time.trim());
  if (written === null) return null;
  const parsed = new Date(`${written[1]} ${written[2]}:${written[3]} ${written[4]}`);
  return Number.isNaN(parsed.getTime()) ? null : parsed;
}

/** At most ten digits: no number in a header is longer, and a Date takes any of them. */
function wholeNumber(text: string | undefined): number | null {
  return text !== undefined && /^\d{1,10}$/.test(text) ? Number(text) : null;
}
