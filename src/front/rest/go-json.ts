/** Strings as Go's encoding/json writes them, so that a client that compares bytes sees no difference (rest.md 8). */

/** The replacement character stands where a name was not UTF-8, and Go escapes it there. */
const escapedByGo = /[<>&\u2028\u2029\ufffd]/g;

/** A JSON string with its quotes. JavaScript and Go agree on everything but the characters that are escaped here. */
export function goJsonString(text: string): string {
  return JSON.stringify(text.toWellFormed()).replace(escapedByGo, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}
