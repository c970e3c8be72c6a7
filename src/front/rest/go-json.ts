/** Strings as Go's encoding/json writes them, so that a client that compares bytes sees no difference (rest.md 8). */

/** The replacement character stands where a name was not UTF-8, and Go escapes it there. */
const escapedByGo = ["<", ">", "&", "\u2028", "\u2029", "\ufffd"].map((character) => {
  return [character, `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`] as const;
});

/** A JSON string with its quotes. JavaScript and Go agree on everything but the characters that are escaped here. */
export function goJsonString(text: string): string {
  // One character at a time for all of the text: a function called for each match is slow, and costs ten times the text.
  return escapedByGo.reduce(
    (json, [character, escaped]) => json.replaceAll(character, escaped),
    JSON.stringify(text.toWellFormed()),
  );
}
