/** Makes whatever a stranger sent safe to stand on one line of a log or a terminal. */

/** C0, DEL and C1; the line and paragraph separators; the marks that turn the direction of what follows. */
const unsafe = /[\p{Cc}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** The same, but for what JSON escapes by itself. */
const unsafeInJson = /[\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** Each unsafe character becomes `\uXXXX`: no text breaks a line, moves a cursor, or hides what stands beside it. */
export function escapeControls(text: string): string {
  return text.replace(unsafe, escaped);
}

/** The same for a line of JSON, where such characters stand inside strings only: its meaning does not change. */
export function escapeControlsInJson(json: string): string {
  return json.replace(unsafeInJson, escaped);
}

/** At most `maxLength` UTF-16 units, never half a character at the end. */
export function cut(text: string, maxLength: number): string {
  if (text.length <= maxLength) return text;
  const end = text.charCodeAt(maxLength - 1);
  const isHalf = end >= 0xd800 && end <= 0xdbff;
  return text.slice(0, isHalf ? maxLength - 1 : maxLength);
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
