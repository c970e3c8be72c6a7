/** What a codec throws when bytes are not what their protocol says; the room that holds the codec translates it. */

export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
}
