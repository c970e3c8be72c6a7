/** Blanks as HTTP and multipart have them around a value (RFC 9110 §5.6.3): space and tab. `String.trim` also takes what is part of a value. */

const space = 0x20;
const tab = 0x09;

export function trimBlanks(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text, start)) start += 1;
  while (end > start && isBlank(text, end - 1)) end -= 1;
  return text.slice(start, end);
}

function isBlank(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code === space || code === tab;
}
