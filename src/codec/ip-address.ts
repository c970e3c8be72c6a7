/** IP addresses and ranges: strict reading, one spelling for each address, and what kind of network an address belongs to. */

import ipaddr from "ipaddr.js";

export interface IpAddress {
  /** Canonical: equal addresses have equal texts. An IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2) is its IPv4 address. */
  readonly text: string;
  readonly family: 4 | 6;
}

export interface IpRange {
  readonly network: IpAddress;
  /** Prefix length: 0 to 32, or 0 to 128. */
  readonly bits: number;
}

/**
 * `global` is what the public Internet routes and nobody has reserved; everything else is somebody's inside or nobody's.
 * `metadata` are the addresses at which clouds hand credentials to whoever asks.
 */
export const addressClasses = [
  "global",
  "private",
  "loopback",
  "link-local",
  "metadata",
  "unspecified",
  "multicast",
  "reserved",
] as const;

export type AddressClass = (typeof addressClasses)[number];

/** AWS (instance, containers, IPv6), Alibaba, Azure, Oracle, Google's IPv6. Azure's lies in a public range. */
const metadataAddresses: ReadonlySet<string> = new Set([
  "169.254.169.254",
  "169.254.170.2",
  "100.100.100.200",
  "168.63.129.16",
  "192.0.0.192",
  "fd00:ec2::254",
  "fd00:ec2::23",
  "fd20:ce::254",
]);

/** As the system writes it. Asked of each request: to take it apart costs ten times as much. */
const plainIpv4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;

/** Four decimal numbers, or IPv6 without brackets; a zone id, a leading zero or a missing number is no address. */
export function parseIpAddress(text: string): IpAddress | null {
  if (plainIpv4.test(text)) return { text, family: 4 };
  // ipaddr.js reads `::1.2.3.4` as a mapped address and takes zone ids; URL does neither.
  const canonical = text.includes(":") ? URL.parse(`http://[${text}]/`)?.hostname : undefined;
  if (canonical === undefined || /[^0-9a-fA-F:.]/.test(text)) return null;
  const address = ipaddr.IPv6.parse(canonical.slice(1, -1));
  return address.isIPv4MappedAddress()
    ? { text: address.toIPv4Address().toString(), family: 4 }
    : { text: address.toRFC5952String(), family: 6 };
}

/**
 * What is taken for one client: an IPv4 address, or the 64 bits of an IPv6 network, in which one machine has as many addresses as it
 * wants (RFC 8981). What is no address is its own.
 */
export function clientNetwork(text: string): string {
  if (plainIpv4.test(text)) return text;
  const [withoutZone = ""] = text.split("%", 1);
  const address = parseIpAddress(withoutZone);
  if (address === null) return text;
  return address.family === 4 ? address.text : `${networkOf({ network: address, bits: 64 })}/64`;
}

/** `10.0.0.0/8`, `fd00::/8`; a lone address is the range of itself. Bits behind the prefix must be zero: more may be meant than said. */
export function parseIpRange(text: string): IpRange | null {
  const [before = "", after, ...more] = text.split("/");
  const network = parseIpAddress(before);
  if (network === null || more.length > 0) return null;
  const width = network.family === 4 ? 32 : 128;
  if (after === undefined) return { network, bits: width };
  if (!/^\d{1,3}$/.test(after)) return null;
  // A mapped network counts its bits in IPv6.
  const bits = Number(after) - (network.family === 4 && before.includes(":") ? 96 : 0);
  const range = { network, bits };
  return bits >= 0 && bits <= width && networkOf(range) === network.text ? range : null;
}

export function isInRange(address: IpAddress, { network, bits }: IpRange): boolean {
  return address.family === network.family && parsed(address).match(parsed(network), bits);
}

export function addressClass(address: IpAddress): AddressClass {
  if (metadataAddresses.has(address.text)) return "metadata";
  const known = parsed(address);
  const range = known.range();
  switch (range) {
    case "unicast":
      // Only 2000::/3 has been given out (RFC 4291 §2.4); ipaddr.js calls unicast whatever it has no name for.
      return known.kind() === "ipv4" || isInRange(address, globalUnicast6) ? "global" : "reserved";
    case "private":
    case "carrierGradeNat":
    case "uniqueLocal":
      return "private";
    case "loopback":
      return "loopback";
    case "linkLocal":
      return "link-local";
    case "unspecified":
      return "unspecified";
    case "multicast":
      return "multicast";
    default:
      // 6to4, Teredo and NAT64 carry an IPv4 address that nobody has checked; the rest is reserved by name.
      return "reserved";
  }
}

/** Whether what listens there is reached from this machine alone. */
export function isLoopbackHost(host: string): boolean {
  const address = parseIpAddress(host);
  return address === null ? host.toLowerCase() === "localhost" : addressClass(address) === "loopback";
}

const globalUnicast6: IpRange = { network: { text: "2000::", family: 6 }, bits: 3 };

function parsed(address: IpAddress) {
  return address.family === 4 ? ipaddr.IPv4.parse(address.text) : ipaddr.IPv6.parse(address.text);
}

function networkOf({ network, bits }: IpRange): string {
  return network.family === 4
    ? ipaddr.IPv4.networkAddressFromCIDR(`${network.text}/${bits}`).toString()
    : ipaddr.IPv6.networkAddressFromCIDR(`${network.text}/${bits}`).toRFC5952String();
}
