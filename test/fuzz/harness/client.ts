/** The client of the campaigns: its connections are its own, so that a closing look sees the gateway's descriptors and not those kept alive for it. */

import { Agent, fetch } from "undici";

export interface Client extends AsyncDisposable {
  fetch: typeof fetch;
  /** Ends every connection; the next request opens new ones. */
  disconnect(): Promise<void>;
}

export function openClient(): Client {
  let agent = new Agent();
  async function disconnect(): Promise<void> {
    const old = agent;
    agent = new Agent();
    await old.close();
  }
  return {
    fetch: (input, init) => fetch(input, { ...init, dispatcher: agent }),
    disconnect,
    [Symbol.asyncDispose]: disconnect,
  };
}
