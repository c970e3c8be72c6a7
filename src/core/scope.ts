/** What an endpoint asks of a client, and what a client may have. */

/** `admin` includes every other. */
export const scopes = ["scan", "scan:path", "jobs", "status", "mirror", "admin"] as const;

export type Scope = (typeof scopes)[number];
