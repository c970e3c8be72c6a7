/** Signatures that cost clamd time and memory to load, and are found in nothing. */

/** Lines of an .ndb file. */
export function largeSignatures(count: number): string {
  const lines: string[] = [];
  let state = 1;
  for (let index = 0; index < count; index += 1) {
    let hex = "";
    for (let word = 0; word < 6; word += 1) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      hex += state.toString(16).padStart(8, "0");
    }
    lines.push(`Clamgate.Large.${index}:0:*:${hex}\n`);
  }
  return lines.join("");
}
