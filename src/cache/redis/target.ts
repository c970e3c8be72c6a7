/** Where a Redis or Valkey is, and what it takes to be let in. */

export interface HostPort {
  /** A name or an address; IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
}

export type RedisPlace =
  | ({ readonly kind: "standalone" } & HostPort)
  /** One of several servers, whichever the sentinels call the master of that name. */
  | { readonly kind: "sentinel"; readonly sentinels: readonly HostPort[]; readonly masterName: string }
  /** Some of the nodes; the others are learned from them. */
  | { readonly kind: "cluster"; readonly nodes: readonly HostPort[] };

/** Absolute paths of PEM files. They are read at every connection, so that renewed ones are taken up. */
export interface RedisTls {
  /** Authorities trusted instead of the system's. */
  readonly ca: string | null;
  /** Our own certificate and its key, for a server that asks for one (redis.conf tls-auth-clients). */
  readonly cert: string | null;
  readonly key: string | null;
}

export interface RedisTarget {
  readonly place: RedisPlace;
  /** Null for the default user. */
  readonly username: string | null;
  readonly password: string | null;
  /** 0 in a cluster, which has no other. */
  readonly database: number;
  readonly tls: RedisTls | null;
}

/** For the log: names no user and no secret. */
export function nameOf({ place }: RedisTarget): string {
  switch (place.kind) {
    case "standalone":
      return `redis ${hostPortOf(place)}`;
    case "sentinel":
      return `redis master ${place.masterName} of ${place.sentinels.map(hostPortOf).join(", ")}`;
    case "cluster":
      return `redis cluster ${place.nodes.map(hostPortOf).join(", ")}`;
  }
}

export function hostPortOf({ host, port }: HostPort): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
