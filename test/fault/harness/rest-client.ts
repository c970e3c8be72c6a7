/** Posts subjects to each endpoint of the REST front and books every request in an account. */

import type { Account, Settled } from "./account.ts";
import type { CountingClient, Message } from "./counting-client.ts";
import type { Subject } from "./subjects.ts";

export interface RestClientOptions {
  readonly client: CountingClient;
  readonly account: Account;
}

export interface RestClient {
  /** As a form, one file per subject. */
  upload(subjects: readonly Subject[], signal?: AbortSignal): Promise<Settled>;
  /** As a form, to the deprecated endpoint. */
  uploadOld(subjects: readonly Subject[]): Promise<Settled>;
  /** As the request's body. */
  raw(subject: Subject, signal?: AbortSignal): Promise<Settled>;
  /** As any message at all. */
  send(subjects: readonly Subject[], message: Message): Promise<Settled>;
}

export function restClient({ client, account }: RestClientOptions): RestClient {
  const send = (subjects: readonly Subject[], message: Message) => account.request(subjects, () => client.send(message));
  const post = (path: string, subjects: readonly Subject[], signal: AbortSignal | undefined) =>
    send(subjects, { path, ...formOf(subjects), ...(signal === undefined ? {} : { signal }) });
  return {
    upload: (subjects, signal) => post("/v2/scan", subjects, signal),
    uploadOld: (subjects) => post("/scan", subjects, undefined),
    raw: (subject, signal) =>
      send([subject], {
        path: "/scanHandlerBody",
        headers: { "content-type": "application/octet-stream" },
        body: subject.bytes,
        ...(signal === undefined ? {} : { signal }),
      }),
    send,
  };
}

export const boundary = "clamgate-fault-boundary";

/** Headers and body of a form with one file per subject. */
export function formOf(subjects: readonly Pick<Subject, "name" | "bytes">[]): {
  readonly headers: Record<string, string>;
  readonly body: Buffer;
} {
  const parts = subjects.flatMap(({ name, bytes }) => [
    Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="${name}"\r\n\r\n`),
    bytes,
    Buffer.from("\r\n"),
  ]);
  return {
    headers: { "content-type": `multipart/form-data; boundary=${boundary}` },
    body: Buffer.concat([...parts, Buffer.from(`--${boundary}--\r\n`)]),
  };
}
