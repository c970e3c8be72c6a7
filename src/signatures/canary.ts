/** The epoch canary: a harmless text and a signature for it whose name tells which set of signatures the engine has loaded. */

/**
 * Whoever sends these bytes to an engine learns from the answer whether it detects at all, and with which set.
 * In two pieces, so that no file of ours is itself detected.
 */
export const canaryBytes: Uint8Array = Buffer.from(
  [
    "Clamgate epoch canary. This text is harmless; ",
    "an engine that names it has loaded its signatures. f3b1c07e95d24a68\n",
  ].join(""),
  "latin1",
);

export const canaryFileName = "clamgate_epoch.ndb";

const signaturePrefix = "Clamgate.Epoch.";

/**
 * One line of an .ndb file: any file type, at offset 0, so that a document that quotes the canary is not detected.
 * @throws RangeError when `setId` is not 16 hexadecimal digits: a malformed line would cost the whole set.
 */
export function canarySignature(setId: string): string {
  if (!isSetId(setId)) throw new RangeError(`not the id of a signature set: ${setId}`);
  return `${signaturePrefix}${setId}:0:0:${Buffer.from(canaryBytes).toString("hex")}\n`;
}

/** The set id in a reported signature name, with or without clamd's `.UNOFFICIAL`; null for any other name. */
export function epochOf(signatureName: string): string | null {
  if (!signatureName.startsWith(signaturePrefix)) return null;
  const rest = signatureName.slice(signaturePrefix.length);
  const id = rest.endsWith(".UNOFFICIAL") ? rest.slice(0, -".UNOFFICIAL".length) : rest;
  return isSetId(id) ? id : null;
}

export function isSetId(text: string): boolean {
  return /^[0-9a-f]{16}$/.test(text);
}
