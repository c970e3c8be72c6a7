/** What clients of the REST front send on a usual day: forms, raw bodies, repeated files, some infected, some broken. */

import type { Settled } from "../fault/harness/account.ts";
import type { Random } from "../fault/harness/random.ts";
import { boundary, type RestClient } from "../fault/harness/rest-client.ts";
import type { Subject, SubjectSource } from "../fault/harness/subjects.ts";
import { weighted } from "../load/traffic.ts";
import { isRefused, type Served } from "./served.ts";

export interface RestMixOptions {
  readonly random: Random;
  readonly subjects: SubjectSource;
  readonly rest: RestClient;
}

/** Every call sends one request and resolves when it is settled. */
export function restMix({ random, subjects, rest }: RestMixOptions): () => Promise<Served> {
  /** Files that are sent again and again, as popular downloads are. */
  const popular = Array.from({ length: 40 }, (_, index) => (index % 4 === 0 ? subjects.infected() : subjects.clean()));

  const any = (): Subject =>
    weighted(random, [
      [40, () => subjects.infected()],
      [40, () => subjects.clean()],
      [15, () => random.pick(popular)],
      [3, () => subjects.unscannable()],
      [0.3, () => subjects.clean(random.size(2_000_000, 20_000_000))],
      [0.3, () => subjects.infected(random.size(2_000_000, 20_000_000))],
      [1, () => subjects.clean(40)],
    ]);
  const several = () => Array.from({ length: 2 + random.below(4) }, any);

  const send = () =>
    weighted(random, [
      [50, () => rest.upload([any()])],
      [15, () => rest.upload(several())],
      [25, () => rest.raw(any())],
      [5, () => rest.uploadOld([any()])],
      [2, () => truncated(any())],
      [2, () => leaving(any())],
      [1, () => rest.send([], { path: "/v2/scan", headers: { "content-type": "text/plain" }, body: Buffer.from("no form") })],
    ]);
  return async () => served(await send());

  /** A form without its end: an error, whatever its file is. */
  function truncated(subject: Subject): Promise<Settled> {
    const head = `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="${subject.name}"\r\n\r\n`;
    return rest.send([{ ...subject, truth: subject.truth === "clean" ? "unscannable" : subject.truth }], {
      path: "/v2/scan",
      headers: { "content-type": `multipart/form-data; boundary=${boundary}` },
      body: Buffer.concat([Buffer.from(head), subject.bytes]),
    });
  }

  /** A client that goes away in the middle of its upload or of the scan. */
  function leaving(subject: Subject): Promise<Settled> {
    const leave = new AbortController();
    setTimeout(() => leave.abort(), random.below(50));
    return random.next() < 0.5 ? rest.raw(subject, leave.signal) : rest.upload([subject], leave.signal);
  }
}

function served({ subjects, exchange }: Settled): Served {
  const name = `${exchange.answer?.status ?? exchange.fault} for ${subjects.map((each) => each.name).join()}`;
  return { name, elapsedMs: exchange.elapsedMs, isRefused: isRefused(exchange) };
}
