/** Addresses in an answer's headers that clients go to, and whether they lead past the gateway. */

/**
 * False for a Link or Content-Location with an address that is not on this very host: package managers, downloaders and browsers follow
 * `rel=next`, `duplicate`, `preload`, `xet-auth` and others by themselves, and resolve by Content-Location. What is not written as RFC 8288
 * has it is not known to stay.
 * @param name in lower case.
 */
export function staysHere(name: string, value: string): boolean {
  switch (name) {
    case "content-location":
      return isRelative(value);
    case "link":
      return targetsOf(value)?.every(isRelative) ?? false;
    default:
      return true;
  }
}

const here = "http://gateway.invalid";

/** As a browser reads it, too, which takes a backslash for a slash and drops tabs, and as those do that take off any blank first. */
function isRelative(reference: string): boolean {
  const bare = reference.trim();
  if (/^[a-z][a-z0-9+.-]*:/i.test(bare)) return false;
  return URL.parse(bare, `${here}/a/b`)?.origin === here;
}

/** Of `<target>; name="value", <target> …`; null for what is none. */
function targetsOf(value: string): readonly string[] | null {
  const link = /[ \t,]*<([^<>"]*)>((?:[^"<>,]|"(?:[^"\\]|\\.)*")*)(?:,|$)/y;
  const targets: string[] = [];
  while (link.lastIndex < value.length) {
    const [, target] = link.exec(value) ?? [];
    if (target === undefined) return null;
    targets.push(target);
  }
  return targets;
}
