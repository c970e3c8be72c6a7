/** A connection to clamd that can still be read after a write has failed. */

import { Socket } from "node:net";

/**
 * clamd refuses a body by answering and closing while more of it is on the way. The next write then fails, and Node would
 * destroy the socket at once, with the answer still unread in the kernel. Here a failed write is only noted; reading goes on to
 * the end that the peer has made. Linux keeps what has arrived, over Unix sockets and TCP, also after a reset.
 */
export class ClamdSocket extends Socket {
  #writeFault: Error | null = null;

  /** Why a write has failed, though its callback was told of no error; null while none has. */
  get writeFault(): Error | null {
    return this.#writeFault;
  }

  override _write(chunk: Uint8Array, encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    super._write(chunk, encoding, this.#noting(done));
  }

  override _writev(
    chunks: { readonly chunk: Uint8Array; readonly encoding: BufferEncoding }[],
    done: (error?: Error | null) => void,
  ): void {
    super._writev?.(chunks, this.#noting(done));
  }

  #noting(done: () => void): (error?: Error | null) => void {
    return (error) => {
      this.#writeFault ??= error ?? null;
      done();
    };
  }
}
