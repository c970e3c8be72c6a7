/** What the head of a request, and its connection, tell of who sends it. */

import type { X509Certificate } from "node:crypto";
import { TLSSocket } from "node:tls";
import type { IpRange } from "../codec/ip-address.ts";
import { addressOf, isFromProxy } from "./client-address.ts";
import { linesOf, type RawRequest } from "./raw.ts";

export class RequestHead {
  readonly #request: RawRequest;
  readonly #trusted: readonly IpRange[];

  /** Lines in which a key may be. */
  readonly rawHeaders: readonly string[];

  /** @param trusted TRUSTED_PROXIES. */
  constructor(request: RawRequest, trusted: readonly IpRange[], rawHeaders: readonly string[] = request.rawHeaders) {
    this.#request = request;
    this.#trusted = trusted;
    this.rawHeaders = rawHeaders;
  }

  address(): string {
    return addressOf(this.#request, this.#trusted);
  }

  certificate(): X509Certificate | null {
    const { socket } = this.#request;
    // A session that goes on may be authorized and have none.
    return socket instanceof TLSSocket && socket.authorized ? (socket.getPeerX509Certificate() ?? null) : null;
  }

  /** RFC 9440: whoever is not trusted to set it may have made it up. */
  forwardedCertificates(): readonly string[] {
    return isFromProxy(this.#request, this.#trusted) ? linesOf(this.#request, "client-cert") : [];
  }
}
