/** Asks the DNS servers for both kinds of addresses of a full name, on sockets of its own and without a thread. */

import { Resolver } from "node:dns/promises";

/** `code` as getaddrinfo has it: the name is not there, or nobody could say. */
export class NameError extends Error {
  override readonly name = "NameError";
  readonly code: "ENOTFOUND" | "EAI_AGAIN";
  readonly isTimeout: boolean;
  /** There is no DNS server at all. */
  readonly isUnserved: boolean;

  constructor(cause: Error & { readonly code?: string }) {
    super(cause.message, { cause });
    // EBADNAME: a name that cannot be written as one.
    this.code = ["ENOTFOUND", "ENODATA", "EBADNAME"].includes(cause.code ?? "") ? "ENOTFOUND" : "EAI_AGAIN";
    this.isTimeout = cause.code === "ETIMEOUT";
    this.isUnserved = cause.code === "ECONNREFUSED";
  }
}

export interface DnsQuestion {
  /** Without the dot of the root. */
  readonly name: string;
  /** `address` or `address:port`; null: those of this machine. */
  readonly servers: readonly string[] | null;
  readonly isIpv6First: boolean;
  readonly signal: AbortSignal;
}

/** A packet may be lost. The answer to one question is waited for no longer than whoever asks likes to. */
const times = { timeout: 1000, maxTimeout: 2000, tries: 4 };

/** How long the other family is waited for once there is one: some servers never answer AAAA (RFC 4074 §4.1). */
const otherFamilyMs = 1000;

/** Some address of the name, at least one. Rejects with a `NameError`, or with the signal's reason. */
export async function askDns({ name, servers, isIpv6First, signal }: DnsQuestion): Promise<readonly string[]> {
  signal.throwIfAborted();
  // One for each question: `cancel` ends all that a resolver is asking, and a new port for each is harder to guess for a forger (RFC 5452 §9.2).
  const resolver = new Resolver(times);
  if (servers !== null) resolver.setServers(servers);
  const cancel = () => resolver.cancel();
  signal.addEventListener("abort", cancel);
  try {
    return await askServers(resolver, name, isIpv6First, signal);
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}

/** A server that is silent is passed over by c-ares; one that refuses or fails is not, as Node sets it up, but is by glibc. */
async function askServers(
  resolver: Resolver,
  name: string,
  isIpv6First: boolean,
  signal: AbortSignal,
): Promise<readonly string[]> {
  for (;;) {
    try {
      return await askFamilies(resolver, name, isIpv6First);
    } catch (error) {
      // What was called off looks like a server that failed.
      signal.throwIfAborted();
      const others = resolver.getServers().slice(1);
      const isPassedOver = error instanceof NameError && error.code === "EAI_AGAIN" && !error.isTimeout;
      if (!isPassedOver || others.length === 0) throw error;
      resolver.setServers(others);
    }
  }
}

async function askFamilies(resolver: Resolver, name: string, isIpv6First: boolean): Promise<readonly string[]> {
  let timer: NodeJS.Timeout | undefined;
  const hurry = (found: string[]) => {
    timer ??= setTimeout(() => resolver.cancel(), otherFamilyMs);
    return found;
  };
  const [four, six] = await Promise.allSettled([resolver.resolve4(name).then(hurry), resolver.resolve6(name).then(hurry)]);
  clearTimeout(timer);
  const answers = isIpv6First ? [six, four] : [four, six];
  const found = answers.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []));
  if (found.length > 0) return found;
  const failures = answers.flatMap((answer) => (answer.status === "rejected" ? [new NameError(answer.reason)] : []));
  // "Nobody could say" of one family leaves it open whether the name is there.
  throw failures.find(({ code }) => code === "EAI_AGAIN") ?? failures[0] ?? new Error("the name has no address");
}
