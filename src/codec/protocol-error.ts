/** What a codec throws when bytes are not what their protocol says; who asks the codec translates it. */

export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
}
