/** Makes whatever a stranger sent safe to stand on one line of a log or a terminal. */

/**
 * C0, DEL and C1; the line and paragraph separators; every format character, as the marks that turn the direction of what follows, tags
 * and what has no width; what fonts show nothing for (variation selectors, fillers); halves of characters.
 */
const unsafe = /[\p{Cc}\p{Zl}\p{Zp}\p{Cf}\p{Cs}\p{Default_Ignorable_Code_Point}]/gu;

/** The same, but for C0: JSON escapes it by itself, and a line of it ends with one. */
const unsafeInJson = /[\u007f-\u009f\p{Zl}\p{Zp}\p{Cf}\p{Cs}\p{Default_Ignorable_Code_Point}]/gu;

/** What stands for itself in a JSON string, and is safe everywhere: printable ASCII but `"` and `\`. Most names are no more than that. */
const notPlain = /[^ !#-[\]-~]/;

/** Each unsafe character becomes `\uXXXX`, twice that beyond U+FFFF: no text breaks a line, moves a cursor, or hides what stands beside it. */
export function escapeControls(text: string): string {
  return text.replace(unsafe, escaped);
}

/** The same for a line of JSON, where such characters stand inside strings only: its meaning does not change. */
export function escapeControlsInJson(json: string): string {
  return json.replace(unsafeInJson, escaped);
}

/** A string of JSON, quotes included, that is safe in a line. */
export function jsonString(text: string): string {
  return notPlain.test(text) ? escapeControlsInJson(JSON.stringify(text)) : `"${text}"`;
}

/** At most `maxLength` UTF-16 units, never half a character at the end. */
export function cut(text: string, maxLength: number): string {
  if (text.length <= maxLength) return text;
  const end = text.charCodeAt(maxLength - 1);
  const isHalf = end >= 0xd800 && end <= 0xdbff;
  return text.slice(0, isHalf ? maxLength - 1 : maxLength);
}

function escaped(character: string): string {
  const units = character.split("");
  return units.map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`).join("");
}
