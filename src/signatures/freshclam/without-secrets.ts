/** What freshclam says, fit for a log. */

/** Addresses of mirrors, databases and proxies may carry a password or a token. */
export function withoutSecrets(line: string): string {
  return line.replace(/\/\/[^/\s]*@/g, "//").replace(/\?\S+/g, "");
}
