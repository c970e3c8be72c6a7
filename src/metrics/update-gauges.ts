/** When the signatures were last updated and last tried, under the names dashboards know from clamav-rest (rest.md 57, 58). */

import { Gauge, type Registry } from "@prometheus-io/client";

/** Each resolves to whole Unix seconds, 0 when it never happened. Asked at every scrape. */
export interface UpdateTimes {
  /** Newest modification of a database file. */
  readonly success: () => Promise<number>;
  /** Newest start of an update. */
  readonly attempt: () => Promise<number>;
}

export function createUpdateGauges(options: {
  readonly registry: Registry;
  readonly updateTimes: UpdateTimes;
}): () => Promise<void> {
  const { registry, updateTimes } = options;
  const success = new Gauge({
    name: "clamav_database_last_update_success_timestamp_seconds",
    help: "Unix timestamp of the most recently modified ClamAV signature database file.",
    registers: [registry],
  });
  const attempt = new Gauge({
    name: "clamav_database_last_update_attempt_timestamp_seconds",
    help: "Unix timestamp of the most recent attempt to update the ClamAV signature database.",
    registers: [registry],
  });
  return async () => {
    const [succeededAt, attemptedAt] = await Promise.all([orNever(updateTimes.success), orNever(updateTimes.attempt)]);
    success.set(succeededAt);
    attempt.set(attemptedAt);
  };
}

/** A directory that cannot be read says what an empty one says (rest.md 57): it must not cost the scrape all other metrics. */
async function orNever(ask: () => Promise<number>): Promise<number> {
  try {
    const seconds = await ask();
    return Number.isFinite(seconds) ? Math.floor(seconds) : 0;
  } catch {
    return 0;
  }
}
